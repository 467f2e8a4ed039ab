/* See engine.h; libcurl-multi(3), "multi_socket". libcurl says which sockets it waits for, and for
 * what, and when it wants to be called at the latest; it is called when either has come. */
#include "engine.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../upstream_settings.h"

struct engine {
    pillion_instance *self;
    CURLM *multi;
    pillion_handle timer;
    void (*done)(CURL *transfer, CURLcode result);
};

/* A socket that libcurl waits for. */
struct waited {
    pillion_handle watch;
};

/* Tells of the transfers that are over by now. */
static void tell_done(struct engine *engine)
{
    const CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(engine->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE)
            engine->done(message->easy_handle, message->data.result);
    }
}

static void act(struct engine *engine, curl_socket_t fd, int events)
{
    int running;

    curl_multi_socket_action(engine->multi, fd, events, &running);
    tell_done(engine);
}

/* ---- What libcurl asks for ---- */

static void socket_ready(pillion_instance *self, int fd, unsigned events, void *data)
{
    int bits = (events & PILLION_READ ? CURL_CSELECT_IN : 0) |
               (events & PILLION_WRITE ? CURL_CSELECT_OUT : 0) |
               (events & PILLION_FAILED ? CURL_CSELECT_ERR : 0);

    (void)self;
    act(data, fd, bits);
}

static void timer_fired(pillion_instance *self, void *data)
{
    struct engine *engine = data;

    (void)self;
    engine->timer = 0;
    act(engine, CURL_SOCKET_TIMEOUT, 0);
}

static void socket_forget(struct engine *engine, curl_socket_t fd, struct waited *waited)
{
    if (waited == NULL)
        return;
    pillion_cancel(waited->watch);
    pillion_free(engine->self, waited);
    curl_multi_assign(engine->multi, fd, NULL);
}

/* A socket that cannot be watched costs its transfer, which is late then. An error given to libcurl
 * here would end all transfers. */
static int socket_wanted(CURL *transfer, curl_socket_t fd, int what, void *data, void *socket_data)
{
    struct engine *engine = data;
    struct waited *waited = socket_data;
    unsigned events =
        (what & CURL_POLL_IN ? PILLION_READ : 0u) | (what & CURL_POLL_OUT ? PILLION_WRITE : 0u);

    (void)transfer;
    if (what == CURL_POLL_REMOVE) {
        socket_forget(engine, fd, waited);
        return 0;
    }
    if (waited != NULL && pillion_watch_change(waited->watch, events))
        return 0;
    if (waited == NULL) {
        waited = pillion_malloc(engine->self, sizeof(*waited));
        if (waited == NULL || curl_multi_assign(engine->multi, fd, waited) != CURLM_OK) {
            pillion_free(engine->self, waited);
            pillion_log(engine->self, PILLION_LOG_ERROR, "out of memory to wait for an upstream");
            return 0;
        }
    }
    waited->watch = pillion_watch(engine->self, fd, events, socket_ready, engine);
    if (waited->watch == 0)
        pillion_log(engine->self, PILLION_LOG_ERROR, "cannot wait for an upstream: %s",
                    strerror(errno));
    return 0;
}

static int timer_wanted(CURLM *multi, long after_ms, void *data)
{
    struct engine *engine = data;

    (void)multi;
    pillion_cancel(engine->timer);
    engine->timer =
        after_ms < 0 ? 0 : pillion_timer(engine->self, (uint64_t)after_ms, 0, timer_fired, engine);
    return 0;
}

static curl_socket_t socket_open(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    const struct engine *engine = data;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

    (void)purpose;
    if (fd >= 0)
        pillion_count(engine->self, METRIC_CONNECTED, 1);
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int socket_close(void *data, curl_socket_t fd)
{
    const struct engine *engine = data;

    pillion_count(engine->self, METRIC_CONNECTED, -1);
    return close(fd);
}

/* ---- Transfers ---- */

void engine_count_sockets(struct engine *engine, CURL *transfer)
{
    curl_easy_setopt(transfer, CURLOPT_OPENSOCKETFUNCTION, socket_open);
    curl_easy_setopt(transfer, CURLOPT_OPENSOCKETDATA, engine);
    curl_easy_setopt(transfer, CURLOPT_CLOSESOCKETFUNCTION, socket_close);
    curl_easy_setopt(transfer, CURLOPT_CLOSESOCKETDATA, engine);
}

bool engine_add(struct engine *engine, CURL *transfer)
{
    return curl_multi_add_handle(engine->multi, transfer) == CURLM_OK;
}

void engine_remove(struct engine *engine, CURL *transfer)
{
    curl_multi_remove_handle(engine->multi, transfer);
}

/* ---- Its life ---- */

/* libcurl counts how often it was initialised, so another module may use it, too. It runs on this
 * thread before any other can call it: `start` comes before the first request. */
struct engine *engine_open(pillion_instance *self, long kept,
                           void (*done)(CURL *transfer, CURLcode result), pillion_error_text *error)
{
    struct engine *engine = pillion_malloc(self, sizeof(*engine));

    if (engine == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        pillion_free(self, engine);
        pillion_error(error, "libcurl cannot be used: out of memory");
        return NULL;
    }
    *engine = (struct engine){.self = self, .multi = curl_multi_init(), .done = done};
    if (engine->multi == NULL) {
        engine_close(engine);
        pillion_error(error, "out of memory");
        return NULL;
    }
    curl_multi_setopt(engine->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl_multi_setopt(engine->multi, CURLMOPT_SOCKETDATA, engine);
    curl_multi_setopt(engine->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    curl_multi_setopt(engine->multi, CURLMOPT_TIMERDATA, engine);
    curl_multi_setopt(engine->multi, CURLMOPT_MAXCONNECTS, kept);
    curl_multi_setopt(engine->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    return engine;
}

void engine_close(struct engine *engine)
{
    curl_multi_cleanup(engine->multi);
    pillion_cancel(engine->timer);
    pillion_free(engine->self, engine);
    curl_global_cleanup();
}
