/* fetch: a module around an asynchronous library. libcurl says which sockets it waits for, and for
 * how long; the worker's loop watches them, and no thread waits (libcurl-multi(3), "multi_socket").
 *
 *     load_module modules/fetch.so { hosts example.org www.example.org; largest 1m; }
 *     server {
 *         ...
 *         method fetch;       # {"url": "http://example.org/"} -> {"status": 200, "type": …}
 *     }
 *
 *     cc -shared -fPIC $(pkg-config --cflags --libs pillion libcurl) -o fetch.so fetch.c */
#include <assert.h>
#include <curl/curl.h>
#include <pillion/module.h>
#include <string.h>

struct config {
    pillion_list hosts;
    uint64_t largest;
};

static const pillion_directive directives[] = {
    {.name = "hosts",
     .type = PILLION_LIST,
     .offset = offsetof(struct config, hosts),
     .required = true,
     .summary = "The hosts whose pages may be fetched: no client reaches any other by it."},
    {.name = "largest",
     .type = PILLION_SIZE,
     .offset = offsetof(struct config, largest),
     .fallback = "1m",
     .min = 1,
     .max = 1 << 30,
     .summary = "The largest page that is fetched."},
    {0},
};

/* ---- libcurl on the loop ---- */

struct engine {
    pillion_instance *self;
    CURLM *multi;
    pillion_handle timer;
};

static void transfer_over(CURL *easy, CURLcode code);

static void act(struct engine *engine, curl_socket_t fd, int events)
{
    const CURLMsg *message;
    int running, left;

    curl_multi_socket_action(engine->multi, fd, events, &running);
    while ((message = curl_multi_info_read(engine->multi, &left)) != NULL)
        transfer_over(message->easy_handle, message->data.result);
}

static void socket_ready(pillion_instance *self, int fd, unsigned events, void *data)
{
    (void)self;
    act(data, fd,
        (events & PILLION_READ ? CURL_CSELECT_IN : 0) |
            (events & PILLION_WRITE ? CURL_CSELECT_OUT : 0) |
            (events & PILLION_FAILED ? CURL_CSELECT_ERR : 0));
}

static void timer_fired(pillion_instance *self, void *data)
{
    (void)self;
    act(data, CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl waits for this socket, or for other events of it, or no longer. It keeps the watch. */
static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *data, void *watch)
{
    static_assert(sizeof(void *) >= sizeof(pillion_handle), "a pointer's place holds a handle");
    struct engine *engine = data;
    unsigned events =
        (what & CURL_POLL_IN ? PILLION_READ : 0u) | (what & CURL_POLL_OUT ? PILLION_WRITE : 0u);

    (void)easy;
    pillion_cancel((uintptr_t)watch);
    if (what == CURL_POLL_REMOVE)
        return 0;
    watch = (void *)(uintptr_t)pillion_watch(engine->self, fd, events, socket_ready, engine);
    curl_multi_assign(engine->multi, fd, watch);
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

/* ---- fetch ---- */

enum form { FORM_TEXT, FORM_BASE64 };
static const char *const forms[] = {"text", "base64", NULL};

struct fetch {
    const char *url;
    int form;
    int64_t most;
};

static const pillion_param fetch_params[] = {
    PILLION_PARAM(struct fetch, url, PILLION_STRING, .min = 1, .max = 2000, .required = true),
    PILLION_PARAM(struct fetch, form, PILLION_ENUM, .fallback = "\"text\"", .words = forms),
    PILLION_PARAM(struct fetch, most, PILLION_INTEGER, .fallback = "1048576", .min = 1,
                  .max = 1 << 30, .summary = "The most bytes that the client has a use for."),
    {0},
};

struct transfer {
    const struct engine *engine;
    const struct fetch *params;
    pillion_token token;
    CURL *easy;
    char *page;
    size_t size, most;
};

/* Once, however the request ends: answered, too late, or its client is gone. A transfer that is not
 * over loses its connection. */
static void transfer_end(void *data)
{
    struct transfer *transfer = data;

    curl_multi_remove_handle(transfer->engine->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    pillion_free(transfer->engine->self, transfer->page);
}

static size_t page_grow(char *data, size_t one, size_t size, void *user)
{
    struct transfer *transfer = user;
    char *page =
        size > transfer->most - transfer->size
            ? NULL
            : pillion_realloc(transfer->engine->self, transfer->page, transfer->size + size + 1);

    (void)one; /* always 1 */
    if (page == NULL)
        return 0; /* CURLE_WRITE_ERROR */
    transfer->page = page;
    memcpy(page + transfer->size, data, size);
    transfer->size += size;
    return size;
}

static void transfer_over(CURL *easy, CURLcode code)
{
    struct transfer *transfer;
    const char *type = NULL;
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    pillion_request *req = pillion_resume(transfer->token);
    if (req == NULL)
        return;
    if (code == CURLE_WRITE_ERROR) {
        pillion_fail(req, "too_large", "the page has more than %zu bytes", transfer->most);
        return;
    }
    if (code != CURLE_OK) {
        pillion_fail(req, "fetch_failed", "%s: %s", transfer->params->url,
                     curl_easy_strerror(code));
        return;
    }
    pillion_bytes page = {transfer->page == NULL ? "" : transfer->page, transfer->size};
    pillion_begin_object(req, "page");
    pillion_put_integer(req, "status", status);
    pillion_put_string(req, "type", type);
    if (transfer->params->form == FORM_BASE64)
        pillion_put_bytes(req, "page", page);
    else
        pillion_put_text(req, "page", page);
    pillion_end(req);
}

static bool host_is_allowed(const struct config *config, const char *url)
{
    CURLU *parts = curl_url();
    char *host = NULL;
    bool allowed = false;

    if (curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        for (size_t i = 0; i < config->hosts.count && !allowed; i++)
            allowed = strcmp(config->hosts.items[i], host) == 0;
    }
    curl_free(host);
    curl_url_cleanup(parts);
    return allowed;
}

static void fetch(pillion_request *req)
{
    const struct config *config = pillion_config(pillion_self(req));
    struct engine *engine = pillion_state(pillion_self(req));
    const struct fetch *params = pillion_args(req);

    if (!host_is_allowed(config, params->url)) {
        pillion_fail(req, "forbidden", "%s is on none of the hosts that are allowed", params->url);
        return;
    }
    struct transfer *transfer = pillion_alloc(req, sizeof(*transfer));
    CURL *easy = curl_easy_init();
    if (transfer == NULL || easy == NULL || !pillion_on_end(req, transfer_end, transfer)) {
        curl_easy_cleanup(easy);
        pillion_fail(req, PILLION_OVERLOADED, "no memory to fetch %s", params->url);
        return;
    }
    *transfer = (struct transfer){.engine = engine, .params = params, .easy = easy};
    transfer->most =
        (uint64_t)params->most < config->largest ? (size_t)params->most : (size_t)config->largest;
    curl_easy_setopt(easy, CURLOPT_URL, params->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, page_grow);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    transfer->token = pillion_defer(req, 0);
    if (transfer->token != 0)
        curl_multi_add_handle(engine->multi, easy);
}

static const pillion_method methods[] = {
    {.name = "fetch",
     .handler = fetch,
     .summary = "Fetches a page.",
     .read_only = true,
     .idempotent = true,
     PILLION_PARAMS(struct fetch, fetch_params)},
    {0},
};

/* ---- Hooks ---- */

static int start(pillion_instance *self, pillion_error_text *error)
{
    struct engine *engine = pillion_malloc(self, sizeof(*engine));

    if (engine == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return pillion_error(error, "libcurl cannot be used: out of memory");
    *engine = (struct engine){.self = self, .multi = curl_multi_init()};
    curl_multi_setopt(engine->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl_multi_setopt(engine->multi, CURLMOPT_SOCKETDATA, engine);
    curl_multi_setopt(engine->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    curl_multi_setopt(engine->multi, CURLMOPT_TIMERDATA, engine);
    pillion_set_state(self, engine);
    return 0;
}

/* All requests are over by now, and so are their transfers. */
static void stop(pillion_instance *self)
{
    struct engine *engine = pillion_state(self);

    curl_multi_cleanup(engine->multi);
    pillion_cancel(engine->timer);
    pillion_free(self, engine);
    curl_global_cleanup();
}

PILLION_MODULE(.name = "fetch", .version = "1.0.0", .summary = "Fetches pages, by libcurl.",
               .methods = methods, .directives = directives, .config_size = sizeof(struct config),
               .start = start, .stop = stop, .needs = PILLION_NEEDS_NETWORK);
