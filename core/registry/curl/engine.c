/* See engine.h; libcurl-multi(3), "multi_socket". libcurl says which sockets it waits for, and for
 * what, and when it wants to be called at the latest; it is called when either has come. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

#include "transfer.h"

/* Connections that are kept, those with a watch on them included: more than a server has services.
 */
#define KEPT_MAX 160L

static void act(struct http_engine *engine, curl_socket_t fd, int events)
{
    const CURLMsg *message;
    int left;

    engine->acting = true;
    curl_multi_socket_action(engine->multi, fd, events, &left);
    engine->acting = false;
    transfers_settle(engine);
    while ((message = curl_multi_info_read(engine->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE)
            transfer_done(message->easy_handle, message->data.result);
    }
}

void engine_ready(struct http_engine *engine, int fd, unsigned is)
{
    act(engine, fd,
        (is & ENGINE_READ ? CURL_CSELECT_IN : 0) | (is & ENGINE_WRITE ? CURL_CSELECT_OUT : 0));
}

void engine_due(struct http_engine *engine)
{
    act(engine, CURL_SOCKET_TIMEOUT, 0);
}

/* A socket that cannot be watched costs its transfer, which ends by its time. An error given to
 * libcurl here would end all transfers. */
static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *data, void *socket_data)
{
    const struct http_engine *engine = data;

    (void)easy;
    (void)socket_data;
    engine->host.watch(engine->host.context, fd,
                       what == CURL_POLL_REMOVE ? 0
                                                : (what & CURL_POLL_IN ? ENGINE_READ : 0u) |
                                                      (what & CURL_POLL_OUT ? ENGINE_WRITE : 0u));
    return 0;
}

static int timer_wanted(CURLM *multi, long after_ms, void *data)
{
    const struct http_engine *engine = data;

    (void)multi;
    engine->host.timer(engine->host.context, after_ms);
    return 0;
}

struct http_engine *engine_open(const struct engine_host *host, char *why, size_t size)
{
    struct http_engine *engine = calloc(1, sizeof(*engine));

    snprintf(why, size, "out of memory for libcurl");
    if (engine == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(engine);
        return NULL;
    }
    *engine = (struct http_engine){.multi = curl_multi_init(), .host = *host};
    if (engine->multi == NULL) {
        curl_global_cleanup();
        free(engine);
        return NULL;
    }
    curl_multi_setopt(engine->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl_multi_setopt(engine->multi, CURLMOPT_SOCKETDATA, engine);
    curl_multi_setopt(engine->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    curl_multi_setopt(engine->multi, CURLMOPT_TIMERDATA, engine);
    curl_multi_setopt(engine->multi, CURLMOPT_MAXCONNECTS, KEPT_MAX);
    curl_multi_setopt(engine->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    return engine;
}

void engine_close(struct http_engine *engine)
{
    while (engine->transfers != NULL)
        transfer_free(engine->transfers);
    curl_multi_cleanup(engine->multi);
    engine->host.timer(engine->host.context, -1);
    free(engine);
    curl_global_cleanup();
}
