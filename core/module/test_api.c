/* The functions of <pillion/test.h>: modules are loaded, started and called in this very process,
 * without a server, a worker or a socket. `pillion try` uses them, and so do the unit tests of
 * modules, by way of libpillion-test. (api.c has those of <pillion/module.h>.) */
#include <limits.h>
#include <pillion/module.h>
#include <pillion/test.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_escape.h"
#include "base/log.h"
#include "base/memory.h"
#include "conf/parser.h"
#include "conf/settings_table.h"
#include "module/api.h"
#include "module/bind.h"
#include "module/hooks.h"
#include "module/loader.h"
#include "module/test_clients.h"
#include "module/test_metrics.h"
#include "module/test_reply.h"
#include "module/test_services.h"
#include "rpc/callback.h"
#include "rpc/inner.h"
#include "rpc/introspect.h"
#include "rpc/metric.h"
#include "rpc/note.h"
#include "rpc/offload.h"
#include "rpc/run.h"
#include "rpc/service.h"
#include "rpc/zone_memory.h"
#include "wire/error_code.h"
#include "wire/frame.h"

#define THREADS_END_MS 1000u

/* One request and its reply. */
struct trial_call {
    struct pool pool; /* the request's memory */
    char *body;       /* as it was sent; freed with that memory */
    struct pool_end over;
    char *frame; /* the reply, NUL-terminated; NULL while there is none */
    size_t size;
    unsigned client;           /* whose request it is: test_clients.h */
    struct deferred *deferred; /* while the request waits */
    struct trial_call *next;   /* the call before this one */
};

/* An earlier trial's structures. They are kept, because its modules may call as long as the process
 * lives. */
struct past {
    struct conf_tree *tree;
    struct module_set set;
    struct method_table methods;
    struct past *next;
};

/* The one trial of this process. */
static struct {
    bool started;
    struct conf_tree *tree;
    struct conf_errors errors;
    struct settings settings;
    struct module_set set;
    struct method_table methods;
    struct introspect introspect;
    struct loop loop;
    struct deferreds deferreds;
    struct board_row *row;
    struct trial_call *calls; /* newest first */
    unsigned last;            /* the newest one's number */
    struct pool texts;        /* texts that were returned to the test */
    struct past *past;
} trial;

/* ---- Modules ---- */

static bool configure(const char *main_text, const char *server_text)
{
    struct text text = {0};
    char directory[PATH_MAX];

    if (getcwd(directory, sizeof(directory)) == NULL)
        memcpy(directory, "/", 2);
    trial.tree = conf_tree_new(directory);
    text_printf(&text, "%s\nserver {\nlisten 127.0.0.1:1;\n%s\n}\n", main_text, server_text);
    bool good = conf_tree_add_text(trial.tree, "the configuration",
                                   (struct bytes){text.data, text.size}, false, &trial.errors) &&
                settings_read(trial.tree, &trial.settings, &trial.errors);
    text_free(&text);
    return good;
}

/* Zones with a file are in memory too: a test leaves nothing behind. */
static bool make_zones(void)
{
    struct error error;

    for (const struct zone_settings *z = trial.settings.zones; z != NULL; z = z->next) {
        int fd = zone_create(z->size, &error);
        bool good = fd >= 0 && zone_add(z->name, &(struct zone_memory){.fd = fd}, &error);
        if (fd >= 0)
            close(fd);
        if (!good) {
            conf_error(&trial.errors, &z->place, "%s", error.text);
            return false;
        }
    }
    return true;
}

static bool load(void)
{
    struct module_file *files;
    size_t count = 0;

    for (const struct module_settings *m = trial.settings.modules; m != NULL; m = m->next)
        count++;
    files = must_zalloc((count + 1) * sizeof(*files));
    count = 0;
    for (const struct module_settings *m = trial.settings.modules; m != NULL; m = m->next)
        files[count++] = (struct module_file){.settings = m, .fd = -1};
    trial.set = (struct module_set){
        .tree = trial.tree, .errors = &trial.errors, .advises = true, .is_trial = true};
    request_install_cjson_hooks();
    services_begin(&(struct service_source){.directory = test_services(), .registry = true});
    bool good = module_set_load(&trial.set, files, count, 0, 1, 1) &&
                module_set_bind(&trial.set, trial.settings.servers, 0, &trial.methods) &&
                module_set_check(&trial.set);
    free(files);
    return good;
}

/* Makes the board of a server with one worker, which rpc.stats reads. It is made once, because
 * modules keep pointers to their metrics as long as the process lives. */
static bool take_board(void)
{
    static struct board *board;
    struct text metrics = {0};
    struct error error;

    if (board == NULL)
        board = board_new(&error);
    if (board == NULL)
        return conf_error(&trial.errors, NULL, "%s", error.text), false;
    board_reset(board);
    module_set_describe_metrics(&trial.set, &metrics);
    for (const struct pool_settings *p = trial.settings.pools; p != NULL; p = p->next)
        offload_describe_pool(p->name, &metrics);
    if (metrics.size > 0)
        metrics_declare(board, metrics.data);
    text_free(&metrics);
    for (size_t i = 0; i < trial.methods.count; i++)
        trial.methods.methods[i].index =
            board_add_method(board, trial.methods.methods[i].name.data);
    trial.row = board_take_row(board, 0, 1);
    atomic_store(&board_head(board, trial.row)->state, ROW_SERVING);
    atomic_store(&board_head(board, trial.row)->pid, (int32_t)getpid());
    atomic_store(&board->generation, 1);
    atomic_store(&board->workers, 1);
    module_set_attach(&trial.set, board, trial.row);
    trial.introspect =
        (struct introspect){.methods = &trial.methods, .board = board, .generation = 1};
    test_metrics_of(board);
    return true;
}

static void finish(struct deferred *deferred);
static void released(struct deferred *deferred);

static void settle(struct loop *loop, void *context)
{
    (void)loop;
    (void)context;
    deferreds_settle(&trial.deferreds);
}

/* Sets up everything that modules have in a worker, and starts them. */
static bool start(void)
{
    const struct offload_limits limits = {.threads = (uint32_t)trial.settings.pool_threads,
                                          .queue = (uint32_t)trial.settings.pool_queue,
                                          .row = trial.row};
    struct error error;

    if (!loop_init(&trial.loop, &error)) {
        conf_error(&trial.errors, NULL, "%s", error.text);
        return false;
    }
    trial.loop.after_batch = settle;
    deferreds_init(&trial.deferreds, &trial.loop, trial.settings.defer_timeout_ms);
    trial.deferreds.row = trial.row;
    trial.deferreds.finish = finish;
    trial.deferreds.released = released;
    api_start(&trial.deferreds);
    notes_init(NULL, 0);
    callbacks_init(&trial.loop);
    if (!offload_init(&trial.loop, &limits)) {
        conf_error(&trial.errors, NULL, "cannot make the eventfd by which threads wake the loop");
        loop_free(&trial.loop);
        return false;
    }
    for (const struct pool_settings *p = trial.settings.pools; p != NULL; p = p->next)
        offload_add_pool(p->name, (uint32_t)p->threads, (uint32_t)p->queue);
    offload_attach(trial.introspect.board, trial.row);
    trial.started = true;
    return module_set_start(&trial.set);
}

PILLION_EXPORT const char *pillion_test_start(const char *main_text, const char *server_text)
{
    static const struct log_target target = {"stderr", LOG_NOTICE_LEVEL, LOG_FORMAT_TEXT};
    static struct text wrong;
    struct error error;

    if (!pillion_test_stop())
        return "a thread still works for modules that were stopped; its work must end first";
    pools_separate();
    log_open(&target, &error);
    log_identity("test");
    if (configure(main_text, server_text) && make_zones() && load() && take_board() && start())
        return NULL;
    text_clear(&wrong);
    text_append_string(&wrong, text_string(&trial.errors.text));
    pillion_test_stop();
    return text_string(&wrong);
}

PILLION_EXPORT const char *pillion_test_reopen(void)
{
    struct text failures = {0};

    if (!trial.started)
        return test_reply_not_started.message;
    module_set_reopen(&trial.set, &failures);
    const char *wrong =
        failures.size == 0 ? NULL : pool_must_strdup(&trial.texts, text_string(&failures));
    text_free(&failures);
    return wrong;
}

static void free_calls(void)
{
    for (struct trial_call *call = trial.calls, *next; call != NULL; call = next) {
        next = call->next;
        pool_free(&call->pool);
        free(call->frame);
        free(call);
    }
}

/* Ends a waiting call: to its module, the client is gone. */
static void leave(struct trial_call *call)
{
    struct deferred *deferred = call->deferred;

    call->deferred = NULL;
    if (deferred == NULL)
        return;
    deferred->values = conn_values_use(test_client_values(call->client));
    deferred_drop(deferred);
}

/* Answers what still waits, as a worker does at drain_timeout, in the same order: their modules
 * learn it by pillion_on_cancel. */
static void give_up(void)
{
    for (uint32_t i = 0; i < trial.deferreds.count; i++)
        deferred_fail(trial.deferreds.table[i], ERROR_TIMEOUT,
                      "the modules were stopped while this request waited");
    deferreds_settle(&trial.deferreds);
}

PILLION_EXPORT bool pillion_test_stop(void)
{
    struct past *past;

    if (trial.tree == NULL)
        return true;
    if (trial.started) {
        give_up();
        offload_stop();
    }
    if (trial.started && !offload_finish(THREADS_END_MS))
        return false; /* a thread still uses the module */
    if (trial.started)
        test_clients_end();
    module_set_stop(&trial.set);
    if (trial.started) {
        offload_end();
        deferreds_free(&trial.deferreds);
        callbacks_free();
        pillion_test_run(0); /* connections of TLS see that their modules have left */
        loop_free(&trial.loop);
    }
    free_calls();
    zones_forget();
    test_services_end();
    pool_free(&trial.texts);
    conf_errors_free(&trial.errors);
    past = must_zalloc(sizeof(*past));
    *past = (struct past){
        .tree = trial.tree, .set = trial.set, .methods = trial.methods, .next = trial.past};
    unsigned last = trial.last;
    test_metrics_of(NULL);
    memset(&trial, 0, sizeof(trial));
    trial.past = past;
    trial.last = last; /* no number is given twice */
    return true;
}

/* ---- Requests ---- */

static void keep_reply(struct trial_call *call, const char *frame, size_t size)
{
    call->frame = must_alloc(size + 1);
    if (size > 0) /* a notification has none */
        memcpy(call->frame, frame, size);
    call->frame[size] = '\0';
    call->size = size;
}

static char *reserve(struct pillion_request *req, size_t size)
{
    struct trial_call *call = req->sink;

    call->frame = must_zalloc(size + 1);
    call->size = size;
    return call->frame;
}

static const char *peer(const struct pillion_request *req)
{
    (void)req;
    return "unix:";
}

static void connection(const struct pillion_request *req, struct request_connection *to)
{
    test_client_tell(((const struct trial_call *)req->sink)->client, to);
}

/* NULL when this trial has no request of that number. */
static struct trial_call *call_of(unsigned number)
{
    struct trial_call *call = number > trial.last ? NULL : trial.calls;

    for (unsigned n = trial.last; n > number && call != NULL; n--)
        call = call->next;
    return call;
}

static void count(const struct pillion_request *req, uint64_t ns)
{
    if (req->method != NULL)
        method_count(&trial.row->methods[req->method->index], req->failed ? req->code : NULL, ns);
}

/* As connection, of a deferred request. */
static void connection_of_deferred(const struct pillion_request *req, struct request_connection *to)
{
    struct deferred *deferred = req->sink;
    const struct trial_call *call = call_of(deferred->conn);

    if (call != NULL)
        test_client_tell(call->client, to);
    else if (deferred->values != NULL)
        to->values = &deferred->values;
}

/* Takes the answer of a deferred request. */
static void finish(struct deferred *deferred)
{
    struct trial_call *call = call_of(deferred->conn);

    count(&deferred->req, clock_ns() - deferred->since_ns);
    counter_add(&trial.row->counters[COUNT_TIMEOUTS], deferred->timed_out);
    if (deferred->req.inner != NULL) {
        inner_finish(deferred);
        return;
    }
    counter_add(&trial.row->counters[COUNT_CANCELLED], call == NULL);
    if (call != NULL && (deferred->reply != NULL || deferred->req.notifies))
        keep_reply(call, deferred->reply, deferred->req.size);
    if (call != NULL) {
        call->deferred = NULL;
        deferred->values = conn_values_use(test_client_values(call->client));
    }
    deferred_free(deferred);
    loop_stop(&trial.loop);
}

/* Frees memory of malloc(3)'s, and overwrites it before: so that no text is found there, even
 * without a tool that tells who still reads it. */
static void bury(void *memory, size_t size)
{
    memset(memory, POISON, size);
    free(memory);
}

/* Frees the body, and the caller the other bytes of a request that is over: each is a block of
 * malloc(3)'s, so that valgrind and AddressSanitizer tell which module has kept a pointer to it. */
static void over(struct pool_end *end)
{
    struct trial_call *call = container_of(end, struct trial_call, over);

    bury(call->body, strlen(call->body));
    call->body = NULL;
}

/* The callback deferreds.released: neither the core nor a thread has the request any more. */
static void released(struct deferred *deferred)
{
    struct conn_values *values = deferred->values;
    deferred->values = NULL;
    conn_values_leave(values);
}

/* Shows a refused request to the filters that see such; no handler does. It counts as a call of
 * `method`, if there is one. */
static void refused(struct pillion_request *req, const struct method *method, struct bytes in)
{
    counter_add(&trial.row->counters[COUNT_REFUSED], 1);
    bool kept = request_keep_refused(req, method == NULL ? &trial.methods.none : method, in);

    if (method != NULL)
        count(req, 0);
    if (kept)
        request_show(req);
}

/* Runs the request. True when it was deferred. */
static bool run(struct trial_call *call, struct pillion_request *req)
{
    const struct json_limits limits = {.depth = (uint32_t)trial.settings.servers->json_max_depth,
                                       .values = (uint32_t)trial.settings.servers->json_max_values};
    struct envelope envelope;
    struct json_error error;

    enum envelope_status status =
        request_read(req, bytes_of(call->body), &limits, &envelope, &error);
    const struct method *method =
        envelope.in.data == NULL ? NULL : method_table_find(&trial.methods, envelope.in);

    if (!request_accept(req, status, &envelope, &error, method)) {
        refused(req, method, envelope.in);
        return false;
    }
    req->started_ns = clock_ns();
    request_run(req);
    if (req->deferred == NULL)
        count(req, clock_ns() - req->started_ns);
    return req->deferred != NULL;
}

/* The request as handlers see it is a block of its own, too. */
static void dispatch(struct trial_call *call, unsigned number)
{
    struct pillion_request *req = must_alloc(sizeof(*req));

    *req = (struct pillion_request){
        .pool = &call->pool,
        .reserve = reserve,
        .sink = call,
        .peer = peer,
        .connection = connection,
        .deferreds = &trial.deferreds,
        .max_reply = FRAME_BODY_MAX,
        .introspect = &trial.introspect,
    };
    counter_add(&trial.row->counters[COUNT_FRAMES], 1);
    if (run(call, req)) {
        counter_add(&trial.row->counters[COUNT_DEFERRED], 1);
        call->deferred = req->deferred;
        deferred_keep(req->deferred, &call->pool);
        call->deferred->conn = number;
        call->deferred->req.connection = connection_of_deferred;
    } else {
        pool_free(&call->pool);
    }
    bury(req, sizeof(*req));
}

PILLION_EXPORT unsigned pillion_test_begin(const char *body)
{
    if (!trial.started)
        return 0;
    struct trial_call *call = must_zalloc(sizeof(*call));
    call->body = must_strdup(body);
    call->client = test_client_current();
    call->over.call = over;
    pool_on_end(&call->pool, &call->over);
    call->next = trial.calls;
    trial.calls = call;
    dispatch(call, ++trial.last);
    return trial.last;
}

PILLION_EXPORT bool pillion_test_answered(unsigned request)
{
    const struct trial_call *call = call_of(request);
    return call == NULL || call->frame != NULL;
}

PILLION_EXPORT void pillion_test_leave(unsigned request)
{
    struct trial_call *call = call_of(request);

    if (call == NULL || call->deferred == NULL)
        return;
    struct deferred *deferred = call->deferred;
    call->deferred = NULL;
    deferred_drop(deferred);
    deferreds_settle(&trial.deferreds);
}

PILLION_EXPORT void pillion_test_disconnect(unsigned client)
{
    for (struct trial_call *call = trial.calls; call != NULL; call = call->next) {
        if (call->client == client)
            leave(call);
    }
    if (trial.started)
        deferreds_settle(&trial.deferreds);
    test_client_end(client);
}

PILLION_EXPORT pillion_test_reply pillion_test_finish(unsigned request)
{
    const struct trial_call *call = call_of(request);

    if (!trial.started || call == NULL)
        return trial.started ? test_reply_not_begun : test_reply_not_started;
    while (call->frame == NULL && call->deferred != NULL)
        loop_run(&trial.loop);
    return call->frame == NULL ? (pillion_test_reply){0}
                               : test_reply_read(call->frame, call->size, &trial.texts);
}

PILLION_EXPORT pillion_test_reply pillion_test_request(const char *body)
{
    return pillion_test_finish(pillion_test_begin(body));
}

PILLION_EXPORT pillion_test_reply pillion_test_call(const char *method, const char *params)
{
    struct text body = {0};

    text_append_string(&body, "{\"in\":\"");
    text_append_json(&body, bytes_of(method));
    text_printf(&body, "\",\"params\":%s}", params == NULL ? "null" : params);
    pillion_test_reply reply = pillion_test_request(text_string(&body));
    text_free(&body);
    return reply;
}

/* ---- Time ---- */

struct pause {
    struct timer timer;
    bool over;
};

static void pause_over(struct timer *timer)
{
    container_of(timer, struct pause, timer)->over = true;
    loop_stop(&trial.loop);
}

PILLION_EXPORT void pillion_test_run(uint64_t ms)
{
    struct pause pause = {0};

    if (!trial.started)
        return;
    timer_set_at(&trial.loop, &pause.timer, clock_after(clock_ns(), ms), pause_over);
    while (!pause.over)
        loop_run(&trial.loop);
}
