/* See exchange.h. An exchange keeps its libcurl handle for the next one, with all options that are
 * the same for each.
 *
 * When a kept connection turns out to be closed, libcurl sends the request again over a new one by
 * itself, though the upstream may have seen it. It is kept from that once a byte of the body has
 * gone: what may be run twice is decided by tries.h alone.
 *
 * libcurl has a thread look a name up, and cannot end it. So an exchange whose client is gone
 * meanwhile stays under way until the name is found or its time is over, or clients that do not
 * wait would make threads without end while a name server is silent. */
#include "exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine.h"

#define HEAD_MOST    65536u /* bytes of a response's head, all lines together */
#define ROOM_FIRST   4096u
#define ROOM_KEPT    65536u /* a larger buffer is freed with its exchange */
#define IDLE_MOST    64u    /* exchanges that are kept for later */
#define DEADLINE_MAX 40u    /* bytes of the field Deadline-Ms */
#define GRACE_MS     50u    /* after the last try the server itself answers */

struct exchange {
    struct exchanges *all;
    struct exchange *next, **place; /* of the list that it is in; `place` is the pointer to this */
    CURL *transfer;
    struct upstream *upstream;
    struct trip *trip; /* valid while its request waits */
    pillion_token token;
    uint64_t id, due_ms, wait_ms;
    pillion_bytes body; /* in the request's memory */
    size_t sent;        /* bytes of the body that libcurl has taken */

    char *reply;
    size_t size, capacity, head_size;
    const char *fault; /* why it was broken off here */
    bool large;
    bool named;    /* its upstream's host has to be looked up */
    bool begun;    /* it has a connection */
    bool given_up; /* its client is gone */
    char detail[CURL_ERROR_SIZE];
};

struct exchanges {
    pillion_instance *self;
    const struct settings *settings;
    const struct exchange_events *events;
    struct engine *engine;
    struct exchange *busy, *idle;
    size_t idle_count;
};

static void list_add(struct exchange **list, struct exchange *exchange)
{
    exchange->next = *list;
    exchange->place = list;
    if (*list != NULL)
        (*list)->place = &exchange->next;
    *list = exchange;
}

static void list_remove(struct exchange *exchange)
{
    *exchange->place = exchange->next;
    if (exchange->next != NULL)
        exchange->next->place = exchange->place;
}

/* ---- What libcurl calls; no request may be answered from here ---- */

static size_t give_body(char *to, size_t size, size_t count, void *data)
{
    struct exchange *exchange = data;
    size_t left = exchange->body.size - exchange->sent;
    size_t given = size * count < left ? size * count : left;

    memcpy(to, exchange->body.data + exchange->sent, given);
    exchange->sent += given;
    return given;
}

/* The request is about to be sent: from here on it cannot be run again by another worker. */
static int may_send(void *data, char *to, char *from, int to_port, int from_port)
{
    struct exchange *exchange = data;

    (void)to;
    (void)from;
    (void)to_port;
    (void)from_port;
    exchange->begun = true;
    if (exchange->sent > 0 || exchange->given_up)
        return CURL_PREREQFUNC_ABORT;
    pillion_rerunnable(exchange->token, false);
    return CURL_PREREQFUNC_OK;
}

static size_t take_head(char *line, size_t size, size_t count, void *data)
{
    struct exchange *exchange = data;

    (void)line;
    exchange->head_size += size * count;
    if (exchange->head_size <= HEAD_MOST)
        return size * count;
    exchange->fault = "the head of its response is larger than 64 KiB";
    return 0;
}

static size_t take_reply(char *bytes, size_t size, size_t count, void *data)
{
    struct exchange *exchange = data;
    size_t more = size * count, needed = exchange->size + more;

    if (needed > exchange->all->settings->max_reply) {
        exchange->large = true;
        return 0;
    }
    if (needed > exchange->capacity) {
        size_t capacity = exchange->capacity == 0 ? ROOM_FIRST : exchange->capacity;
        while (capacity < needed)
            capacity *= 2;
        char *grown = realloc(exchange->reply, capacity);
        if (grown == NULL) {
            exchange->fault = "there is no memory for its reply";
            return 0;
        }
        exchange->reply = grown;
        exchange->capacity = capacity;
    }
    memcpy(exchange->reply + exchange->size, bytes, more);
    exchange->size = needed;
    return more;
}

/* ---- Making ---- */

static void set_protocols(CURL *transfer)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(transfer, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(transfer, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
    curl_easy_setopt(transfer, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(transfer, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(transfer, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(transfer, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(transfer, CURLOPT_QUICK_EXIT,
                     1L); /* wait for no thread that looks a name up */
#endif
}

/* The file stays in memory for longer than any transfer. */
static void set_file(CURL *transfer, CURLoption option, const pillion_file *file)
{
    struct curl_blob blob = {
        .data = (void *)(uintptr_t)file->data, .len = file->size, .flags = CURL_BLOB_NOCOPY};

    curl_easy_setopt(transfer, option, &blob);
}

static void set_options(struct exchange *exchange, const struct settings *settings)
{
    CURL *transfer = exchange->transfer;

    set_protocols(transfer);
    curl_easy_setopt(transfer, CURLOPT_PRIVATE, exchange);
    curl_easy_setopt(transfer, CURLOPT_ERRORBUFFER, exchange->detail);
    curl_easy_setopt(transfer, CURLOPT_USERAGENT, "pillion");
    curl_easy_setopt(transfer, CURLOPT_MAXAGE_CONN, (long)((settings->keepalive_ms + 999) / 1000));
    curl_easy_setopt(transfer, CURLOPT_SSL_VERIFYPEER, settings->verify ? 1L : 0L);
    curl_easy_setopt(transfer, CURLOPT_SSL_VERIFYHOST, settings->verify ? 2L : 0L);
    if (settings->ca.path != NULL)
        set_file(transfer, CURLOPT_CAINFO_BLOB, &settings->ca);
    if (settings->certificate.path != NULL) {
        set_file(transfer, CURLOPT_SSLCERT_BLOB, &settings->certificate);
        set_file(transfer, CURLOPT_SSLKEY_BLOB, &settings->key);
        /* OpenSSL would ask a terminal for the passphrase of a key that has one. */
        curl_easy_setopt(transfer, CURLOPT_KEYPASSWD, "");
    }
    curl_easy_setopt(transfer, CURLOPT_POST, 1L);
    curl_easy_setopt(transfer, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(transfer, CURLOPT_READDATA, exchange);
    curl_easy_setopt(transfer, CURLOPT_PREREQFUNCTION, may_send);
    curl_easy_setopt(transfer, CURLOPT_PREREQDATA, exchange);
    curl_easy_setopt(transfer, CURLOPT_HEADERFUNCTION, take_head);
    curl_easy_setopt(transfer, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(transfer, CURLOPT_WRITEFUNCTION, take_reply);
    curl_easy_setopt(transfer, CURLOPT_WRITEDATA, exchange);
    engine_count_sockets(exchange->all->engine, transfer);
}

static void exchange_free(struct exchange *exchange)
{
    list_remove(exchange);
    curl_easy_cleanup(exchange->transfer);
    free(exchange->reply);
    pillion_free(exchange->all->self, exchange);
}

/* One that is in the list of those under way; NULL when memory ran out. */
static struct exchange *exchange_take(struct exchanges *all)
{
    struct exchange *exchange = all->idle;

    if (exchange != NULL) {
        list_remove(exchange);
        all->idle_count--;
        list_add(&all->busy, exchange);
        return exchange;
    }
    exchange = pillion_malloc(all->self, sizeof(*exchange));
    if (exchange == NULL)
        return NULL;
    *exchange = (struct exchange){.all = all, .transfer = curl_easy_init()};
    if (exchange->transfer == NULL) {
        pillion_free(all->self, exchange);
        return NULL;
    }
    set_options(exchange, all->settings);
    list_add(&all->busy, exchange);
    return exchange;
}

/* Its transfer is in no engine any more. */
static void exchange_give(struct exchange *exchange)
{
    struct exchanges *all = exchange->all;

    if (all->idle_count == IDLE_MOST) {
        exchange_free(exchange);
        return;
    }
    if (exchange->capacity > ROOM_KEPT) {
        free(exchange->reply);
        exchange->reply = NULL;
        exchange->capacity = 0;
    }
    list_remove(exchange);
    list_add(&all->idle, exchange);
    all->idle_count++;
}

/* ---- Ending ---- */

static uint64_t retry_after_ms(CURL *transfer)
{
    curl_off_t seconds = 0;

    curl_easy_getinfo(transfer, CURLINFO_RETRY_AFTER, &seconds);
    return seconds > 0 && seconds <= 86400 ? (uint64_t)seconds * 1000 : 0;
}

/* Why there was no connection, without an address. */
static const char *refusal(CURL *transfer, CURLcode result)
{
    long number = 0;

    curl_easy_getinfo(transfer, CURLINFO_OS_ERRNO, &number);
    return result == CURLE_COULDNT_CONNECT && number != 0 ? strerror((int)number)
                                                          : curl_easy_strerror(result);
}

static bool is_refusal(CURLcode result)
{
    switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
        return true;
    default:
        return false;
    }
}

static void say(struct answer *answer, enum verdict verdict, const char *reason)
{
    answer->verdict = verdict;
    snprintf(answer->reason, sizeof(answer->reason), "%s", reason);
}

/* In TLS 1.3 a service looks at the client's certificate when the client may be sending already,
 * which then fails before the service's alert is read. */
static void hint_at_certificate(struct exchange *exchange, CURLcode result)
{
    static const char hint[] = "; a service that does not take the client's certificate, or its "
                               "lack, ends new connections in this way";
    size_t used = strlen(exchange->detail);
    const char *scheme = NULL;
    long connects = 0;

    curl_easy_getinfo(exchange->transfer, CURLINFO_SCHEME, &scheme);
    curl_easy_getinfo(exchange->transfer, CURLINFO_NUM_CONNECTS, &connects);
    if ((result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR) && used > 0 && connects > 0 &&
        exchange->head_size == 0 && scheme != NULL && strcasecmp(scheme, "https") == 0)
        snprintf(exchange->detail + used, sizeof(exchange->detail) - used, "%s", hint);
}

static void read_result(struct exchange *exchange, CURLcode result, struct answer *answer)
{
    *answer = (struct answer){
        .untouched = exchange->sent < exchange->body.size,
        .detail = exchange->detail,
    };
    curl_easy_getinfo(exchange->transfer, CURLINFO_RESPONSE_CODE, &answer->status);
    if (result == CURLE_OK) {
        answer->retry_ms = retry_after_ms(exchange->transfer);
        answer_read(answer, (pillion_bytes){exchange->reply, exchange->size}, exchange->id);
    } else if (exchange->given_up && result == CURLE_ABORTED_BY_CALLBACK) {
        answer->verdict = ANSWER_GIVEN_UP;
    } else if (exchange->large) {
        say(answer, ANSWER_LARGE, "its reply is larger than max_reply");
    } else if (exchange->fault != NULL) {
        say(answer, ANSWER_NONE, exchange->fault);
    } else if (result == CURLE_OPERATION_TIMEDOUT) {
        answer->verdict = ANSWER_LATE;
        snprintf(answer->reason, sizeof(answer->reason), "it did not answer within %llu ms",
                 (unsigned long long)exchange->wait_ms);
    } else if (is_refusal(result)) {
        say(answer, ANSWER_REFUSED, refusal(exchange->transfer, result));
    } else if (result == CURLE_ABORTED_BY_CALLBACK || result == CURLE_SEND_FAIL_REWIND) {
        say(answer, ANSWER_NONE, "it closed a connection that it had kept open");
    } else {
        say(answer, ANSWER_NONE, curl_easy_strerror(result));
        hint_at_certificate(exchange, result);
        answer->is_detailed = exchange->detail[0] != '\0';
    }
}

static void exchange_over(CURL *transfer, CURLcode result)
{
    struct exchange *exchange = NULL;
    struct answer answer;

    curl_easy_getinfo(transfer, CURLINFO_PRIVATE, (char **)&exchange);
    const struct exchange_events *events = exchange->all->events;

    read_result(exchange, result, &answer);
    engine_remove(exchange->all->engine, transfer);
    pillion_request *req = pillion_resume(exchange->token);
    events->over(exchange->upstream, &answer);
    if (req != NULL)
        events->answered(req, exchange->trip, &answer);
    exchange_give(exchange);
}

static bool is_looked_up(const struct exchange *exchange)
{
    curl_off_t took_us = 0;

    curl_easy_getinfo(exchange->transfer, CURLINFO_NAMELOOKUP_TIME_T, &took_us);
    return exchange->named && !exchange->begun && took_us == 0;
}

/* The client is gone, or its time is over. */
static void exchange_cancelled(void *data)
{
    struct exchange *exchange = data;
    struct answer answer = {.verdict = ANSWER_GIVEN_UP};

    if (is_looked_up(exchange)) { /* without its fields, which end with the request */
        exchange->given_up = true;
        curl_easy_setopt(exchange->transfer, CURLOPT_HTTPHEADER, NULL);
        return;
    }
    if (now_ms() >= exchange->due_ms)
        say(&answer, ANSWER_LATE, "it did not answer in time");
    engine_remove(exchange->all->engine, exchange->transfer);
    exchange->all->events->over(exchange->upstream, &answer);
    exchange_give(exchange);
}

/* ---- Starting ---- */

/* The fields of the request's head, in its memory; NULL when that ran out. */
static struct curl_slist *headers_of(pillion_request *req, const struct trip *trip)
{
    uint64_t left_ms = pillion_deadline_ms(req);
    struct curl_slist *field = pillion_alloc(req, sizeof(*field));
    char *text = pillion_alloc(req, DEADLINE_MAX);

    if (field == NULL || text == NULL)
        return NULL;
    *field = (struct curl_slist){text, (struct curl_slist *)trip->headers};
    if (left_ms == UINT64_MAX)
        return field->next;
    /* 0: in less than a millisecond. */
    snprintf(text, DEADLINE_MAX, "Deadline-Ms: %llu",
             left_ms == 0 ? 1ull : (unsigned long long)left_ms);
    return field;
}

/* How long this try may take: an idempotent request may go to another upstream after it. */
static uint64_t wait_of(const struct tries *tries, uint64_t left_ms)
{
    return tries->idempotent && tries->left > 0 && tries->try_ms < left_ms ? tries->try_ms
                                                                           : left_ms;
}

/* Prepares the transfer. False when memory ran out. */
static bool exchange_prepare(struct exchange *exchange, const char *url,
                             const struct curl_slist *headers)
{
    CURL *transfer = exchange->transfer;

    return curl_easy_setopt(transfer, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(transfer, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(transfer, CURLOPT_POSTFIELDSIZE_LARGE,
                            (curl_off_t)exchange->body.size) == CURLE_OK &&
           curl_easy_setopt(transfer, CURLOPT_TIMEOUT_MS, (long)exchange->wait_ms) == CURLE_OK &&
           engine_add(exchange->all->engine, transfer);
}

bool exchange_start(struct exchanges *all, struct upstream *upstream,
                    const struct location *location, pillion_request *req, struct trip *trip)
{
    uint64_t now = now_ms();
    uint64_t left_ms = trip->tries.deadline_ms > now ? trip->tries.deadline_ms - now : 1;
    struct curl_slist *headers = headers_of(req, trip);
    struct exchange *exchange = headers == NULL ? NULL : exchange_take(all);

    if (exchange == NULL) {
        pillion_fail(req, PILLION_OVERLOADED, "there is no memory to send the request on%s",
                     tries_earlier(&trip->tries));
        return false;
    }
    exchange->upstream = upstream;
    exchange->trip = trip;
    exchange->id = trip->id;
    exchange->body = trip->body;
    exchange->sent = exchange->size = exchange->head_size = 0;
    exchange->fault = NULL;
    exchange->large = exchange->begun = exchange->given_up = false;
    exchange->named = location->named;
    exchange->detail[0] = '\0';
    exchange->wait_ms = wait_of(&trip->tries, left_ms);
    exchange->due_ms = now + exchange->wait_ms;
    if (!exchange_prepare(exchange, location->url, headers)) {
        exchange_give(exchange);
        pillion_fail(req, PILLION_OVERLOADED, "there is no memory to send the request on%s",
                     tries_earlier(&trip->tries));
        return false;
    }
    exchange->token = pillion_defer(req, left_ms + GRACE_MS);
    if (exchange->token == 0) {
        engine_remove(all->engine, exchange->transfer);
        exchange_give(exchange);
        return false;
    }
    pillion_on_cancel(exchange->token, exchange_cancelled, exchange);
    pillion_rerunnable(exchange->token, true); /* while it connects */
    pillion_count(all->self, METRIC_SENT, 1);
    return true;
}

/* ---- All of them ---- */

struct exchanges *exchanges_open(pillion_instance *self, const struct settings *settings, long kept,
                                 const struct exchange_events *events, pillion_error_text *error)
{
    struct exchanges *all = pillion_malloc(self, sizeof(*all));

    if (all == NULL) {
        pillion_error(error, "out of memory");
        return NULL;
    }
    *all = (struct exchanges){
        .self = self,
        .settings = settings,
        .events = events,
        .engine = engine_open(self, kept, exchange_over, error),
    };
    if (all->engine != NULL)
        return all;
    pillion_free(self, all);
    return NULL;
}

void exchanges_close(struct exchanges *all)
{
    for (struct exchange *exchange = all->busy; exchange != NULL; exchange = exchange->next)
        engine_remove(all->engine, exchange->transfer);
    while (all->busy != NULL)
        exchange_free(all->busy);
    while (all->idle != NULL)
        exchange_free(all->idle);
    engine_close(all->engine);
    pillion_free(all->self, all);
}
