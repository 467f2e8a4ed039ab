/* See transfer.h; curl_easy_setopt(3).
 *
 * libcurl lets no transfer be added or removed from within its own callbacks, but the caller may
 * start and cancel there: that is remembered, and done as soon as libcurl has returned. */
#include "transfer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A peer that is away without a word is noticed on answers that go on for hours by the kernel's
 * probes, and the connection is ended when that many milliseconds have passed without an answer to
 * them (tcp(7), TCP_USER_TIMEOUT). */
#define KEEPALIVE_S   10L
#define UNANSWERED_MS 20000u

struct http_transfer {
    struct http_engine *engine;
    struct http_transfer *next, **link; /* in the engine's list */
    CURL *easy;
    struct curl_slist *headers;
    bool added, cancelled, too_large;
    size_t answer_max;
    bool (*part)(void *context, struct bytes bytes);
    void (*done)(void *context, const struct http_answer *answer);
    void *context;
    char *answer;
    size_t size, room;
    char detail[CURL_ERROR_SIZE];
};

/* ---- The answer ---- */

static bool keep(struct http_transfer *transfer, const char *data, size_t size)
{
    if (size > transfer->answer_max - transfer->size) {
        transfer->too_large = true;
        return false;
    }
    if (size > transfer->room - transfer->size) {
        size_t room =
            transfer->room * 2 > transfer->size + size ? transfer->room * 2 : transfer->size + size;
        char *answer = realloc(transfer->answer, room);
        if (answer == NULL)
            return false;
        transfer->answer = answer;
        transfer->room = room;
    }
    memcpy(transfer->answer + transfer->size, data, size);
    transfer->size += size;
    return true;
}

static size_t take(char *data, size_t one, size_t size, void *context)
{
    struct http_transfer *transfer = context;

    (void)one;
    if (size == 0 || transfer->cancelled)
        return size;
    bool ok = transfer->part == NULL
                  ? keep(transfer, data, size)
                  : transfer->part(transfer->context, (struct bytes){data, size});
    return ok ? size : 0;
}

void transfer_free(struct http_transfer *transfer)
{
    if (transfer->added)
        curl_multi_remove_handle(transfer->engine->multi, transfer->easy);
    *transfer->link = transfer->next;
    if (transfer->next != NULL)
        transfer->next->link = transfer->link;
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    free(transfer->answer);
    free(transfer);
}

static void tell(struct http_transfer *transfer, CURLcode result)
{
    long status = 0;
    struct http_answer answer = {.why = "", .too_large = transfer->too_large};
    char why[CURL_ERROR_SIZE + 64];

    if (result == CURLE_OK) {
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        answer.status = (int)status;
        answer.body = (struct bytes){transfer->answer, transfer->size};
    } else {
        if (transfer->too_large)
            snprintf(why, sizeof(why), "the answer has more than %zu bytes", transfer->answer_max);
        else
            snprintf(why, sizeof(why), "%s",
                     transfer->detail[0] != '\0' ? transfer->detail : curl_easy_strerror(result));
        answer.why = why;
    }
    transfer->done(transfer->context, &answer);
}

void transfer_done(CURL *easy, CURLcode result)
{
    struct http_transfer *transfer = NULL;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
    curl_multi_remove_handle(transfer->engine->multi, easy);
    transfer->added = false;
    transfer->cancelled = true; /* its own `done` may not free it by transfer_cancel */
    tell(transfer, result);
    transfer_free(transfer);
}

/* ---- The request ---- */

static bool set_tls(CURL *easy, const struct http_tls *tls)
{
    struct curl_blob ca = {(void *)(uintptr_t)tls->ca.data, tls->ca.size, CURL_BLOB_NOCOPY};
    struct curl_blob cert = {(void *)(uintptr_t)tls->cert.data, tls->cert.size, CURL_BLOB_NOCOPY};
    struct curl_blob key = {(void *)(uintptr_t)tls->key.data, tls->key.size, CURL_BLOB_NOCOPY};

    /* The empty password, so that nobody is asked for one at a terminal. */
    return (ca.len == 0 || curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca) == CURLE_OK) &&
           (cert.len == 0 || curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &cert) == CURLE_OK) &&
           (key.len == 0 || curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &key) == CURLE_OK) &&
           curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, tls->unverified ? 0L : 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, tls->unverified ? 0L : 2L) == CURLE_OK;
}

/* "Expect:" keeps libcurl from asking first whether a large body may come. */
static bool set_headers(struct http_transfer *transfer, const char *const *headers)
{
    static const char *const none[] = {NULL};
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");

    for (headers = headers == NULL ? none : headers; list != NULL && *headers != NULL; headers++) {
        struct curl_slist *more = curl_slist_append(list, *headers);
        if (more == NULL)
            curl_slist_free_all(list);
        list = more;
    }
    transfer->headers = list;
    return list != NULL && curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, list) == CURLE_OK;
}

static bool set_body(CURL *easy, struct bytes body)
{
    return body.data == NULL ||
           (curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size) ==
                CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body.data) == CURLE_OK);
}

static int set_socket(void *context, curl_socket_t fd, curlsocktype purpose)
{
    unsigned unanswered = UNANSWERED_MS;

    (void)context;
    (void)purpose;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered, sizeof(unanswered));
    return CURL_SOCKOPT_OK;
}

/* What is the same for all requests. */
static void set_manners(struct http_transfer *transfer)
{
    CURL *easy = transfer->easy;

#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* waits for no name server */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "pillion");
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, set_socket);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->detail);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
}

static bool set_request(struct http_transfer *transfer, const struct http_request *request)
{
    CURL *easy = transfer->easy;

    set_manners(transfer);
    return curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_ms) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms) == CURLE_OK &&
           set_body(easy, request->body) && set_headers(transfer, request->headers) &&
           (request->tls == NULL || set_tls(easy, request->tls));
}

/* True when it could be given to libcurl, now or later. */
static bool add(struct http_transfer *transfer)
{
    struct http_engine *engine = transfer->engine;

    if (engine->acting)
        return true;
    transfer->added = curl_multi_add_handle(engine->multi, transfer->easy) == CURLM_OK;
    return transfer->added;
}

struct http_transfer *transfer_start(struct http_engine *engine, const struct http_request *request,
                                     char *why, size_t size)
{
    struct http_transfer *transfer = calloc(1, sizeof(*transfer));

    snprintf(why, size, "out of memory");
    if (transfer == NULL)
        return NULL;
    *transfer = (struct http_transfer){.engine = engine,
                                       .next = engine->transfers,
                                       .link = &engine->transfers,
                                       .easy = curl_easy_init(),
                                       .answer_max = request->answer_max,
                                       .part = request->part,
                                       .done = request->done,
                                       .context = request->context};
    if (transfer->next != NULL)
        transfer->next->link = &transfer->next;
    engine->transfers = transfer;
    if (transfer->easy == NULL || !set_request(transfer, request) || !add(transfer)) {
        transfer_free(transfer);
        return NULL;
    }
    return transfer;
}

void transfer_cancel(struct http_transfer *transfer)
{
    if (transfer->cancelled)
        return;
    transfer->cancelled = true;
    if (!transfer->engine->acting)
        transfer_free(transfer);
}

/* `done` may start and cancel others, so the search begins anew after each. */
static struct http_transfer *unsettled(struct http_engine *engine)
{
    for (struct http_transfer *t = engine->transfers; t != NULL; t = t->next) {
        if (t->cancelled || !t->added)
            return t;
    }
    return NULL;
}

void transfers_settle(struct http_engine *engine)
{
    struct http_transfer *transfer;

    while ((transfer = unsettled(engine)) != NULL) {
        if (!transfer->cancelled && add(transfer))
            continue;
        if (!transfer->cancelled) {
            transfer->cancelled = true;
            tell(transfer, CURLE_OUT_OF_MEMORY);
        }
        transfer_free(transfer);
    }
}
