/* What belongs to requests: calls at their end, timers that end with them, values, and work that
 * learns that nobody waits for it. */
#include <pillion/module.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct belonging {
    pillion_instance *self;
    pillion_request *req; /* of the handler, which has answered */
    pillion_token token;
    char name[16];
};

static const char *text(pillion_request *req, const char *name)
{
    const char *value =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(pillion_params(req), name));
    return value == NULL ? "" : value;
}

/* ---- ends: {"how": …, "name": …} ---- */

static void ended(void *data)
{
    struct belonging *belonging = data;

    pillion_log(belonging->self, PILLION_LOG_NOTICE, "%s has ended", belonging->name);
}

static void ended_first(void *data)
{
    struct belonging *belonging = data;

    pillion_log(belonging->self, PILLION_LOG_NOTICE, "%s ends", belonging->name);
    if (strcmp(belonging->name, "crash") == 0)
        abort();
    if (strcmp(belonging->name, "again") == 0 &&
        (pillion_on_end(belonging->req, ended, belonging) ||
         pillion_end_with(belonging->req, pillion_timer(belonging->self, 1, 0, NULL, NULL)) ||
         pillion_end_with(belonging->req, 1)))
        abort(); /* it would go on for ever */
    if (pillion_resume(belonging->token) != NULL)
        pillion_log(belonging->self, PILLION_LOG_NOTICE, "%s was resumed", belonging->name);
}

static void cancelled(void *data)
{
    struct belonging *belonging = data;

    pillion_log(belonging->self, PILLION_LOG_NOTICE, "%s is cancelled", belonging->name);
}

static void resumed(pillion_instance *self, void *data)
{
    struct belonging *belonging = data;
    pillion_request *req = pillion_resume(belonging->token);

    (void)self;
    if (req != NULL)
        pillion_reply_raw(req, "ends", pillion_params_raw(req));
}

static void ends(pillion_request *req)
{
    struct belonging *belonging = pillion_alloc(req, sizeof(*belonging));
    const char *how = text(req, "how");

    *belonging = (struct belonging){.self = pillion_self(req), .req = req};
    snprintf(belonging->name, sizeof(belonging->name), "%s", text(req, "name"));
    if (!pillion_on_end(req, ended, belonging) || !pillion_on_end(req, ended_first, belonging))
        abort();
    if (strcmp(how, "answer") == 0)
        pillion_reply_raw(req, "ends", pillion_params_raw(req));
    if (strcmp(how, "fail") == 0)
        pillion_fail(req, "odd", "it is");
    if (strcmp(how, "defer") == 0 || strcmp(how, "late") == 0)
        belonging->token = pillion_defer(req, strcmp(how, "late") == 0 ? 20 : 0);
    if (strcmp(how, "defer") == 0)
        pillion_end_with(req, pillion_timer(belonging->self, 20, 0, resumed, belonging));
    if (strcmp(how, "wait") == 0) {
        belonging->token = pillion_defer(req, 0);
        pillion_on_cancel(belonging->token, cancelled, belonging);
    }
}

/* ---- ticks: a timer in the request's memory, until that ends; then how often it has fired ---- */

static unsigned ticked;

static void tick(pillion_instance *self, void *data)
{
    struct belonging *belonging = data;

    if (belonging->self != self || strcmp(belonging->name, "ticks") != 0)
        abort(); /* it fires though its request is over */
    ticked++;
}

static void ticks(pillion_request *req)
{
    struct belonging *belonging = pillion_alloc(req, sizeof(*belonging));

    *belonging = (struct belonging){.self = pillion_self(req), .name = "ticks"};
    if (pillion_end_with(req, 0) ||
        !pillion_end_with(req, pillion_timer(belonging->self, 1, 1, tick, belonging)))
        abort();
    belonging->token = pillion_defer(req, 0);
    pillion_timer(belonging->self, 25, 0, resumed, belonging);
}

static void ticked_so_far(pillion_request *req)
{
    pillion_reply(req, "ticked", cJSON_CreateNumber(ticked));
}

/* ---- work: {"timeout": N} in a thread, until nobody waits for it ---- */

#define WORKS_MAX_MS 60000

static void works(void *data)
{
    const struct belonging *belonging = data;

    pillion_log(belonging->self, PILLION_LOG_NOTICE, "work begins");
    for (int ms = 0; ms < WORKS_MAX_MS && !pillion_work_cancelled(); ms++)
        usleep(1000);
    pillion_log(belonging->self, PILLION_LOG_NOTICE, "work %s",
                pillion_work_cancelled() ? "is given up" : "is done");
}

static void worked(pillion_request *req, void *data)
{
    const struct belonging *belonging = data;

    pillion_log(belonging->self, PILLION_LOG_NOTICE, "work was for %s",
                req == NULL ? "nobody" : "somebody");
    if (req != NULL)
        pillion_reply(req, "worked", cJSON_CreateTrue());
}

static void work(pillion_request *req)
{
    struct belonging *belonging = pillion_alloc(req, sizeof(*belonging));
    const cJSON *timeout = cJSON_GetObjectItemCaseSensitive(pillion_params(req), "timeout");

    *belonging = (struct belonging){.self = pillion_self(req), .name = "the work"};
    pillion_on_end(req, ended, belonging);
    if (pillion_work_cancelled()) /* not here */
        abort();
    pillion_offload(req, timeout == NULL ? 0 : (uint64_t)timeout->valuedouble, works, worked,
                    belonging);
}

/* ---- run: {"how": …}: work of no request ---- */

struct run {
    pillion_instance *self;
    pillion_token token;
    bool crashes, leaves, lasts;
};

static void ran(void *data)
{
    struct run *run = data;

    pillion_log(run->self, PILLION_LOG_NOTICE, "a run begins");
    if (run->crashes)
        abort();
    if (run->leaves)
        pthread_exit(NULL);
    while (run->lasts && !pillion_work_cancelled())
        usleep(1000);
    pillion_log(run->self, PILLION_LOG_NOTICE, "a run ends");
}

static void ran_out(pillion_instance *self, void *data)
{
    struct run *run = data;
    pillion_request *req = run->token == 0 ? NULL : pillion_resume(run->token);

    if (run->self != self)
        abort();
    if (req != NULL)
        pillion_reply(req, "ran", cJSON_CreateTrue());
    free(run);
}

static void run(pillion_request *req)
{
    const char *how = text(req, "how");
    struct run *run = calloc(1, sizeof(*run));

    run->self = pillion_self(req);
    run->crashes = strcmp(how, "crash") == 0;
    run->leaves = strcmp(how, "leave") == 0;
    run->lasts = strcmp(how, "last") == 0;
    if (!run->lasts && !run->crashes)
        run->token = pillion_defer(req, 0);
    if (!pillion_run(run->self, ran, ran_out, run)) {
        if (run->token != 0)
            req = pillion_resume(run->token);
        pillion_fail(req, PILLION_OVERLOADED, "no thread");
        free(run);
    } else if (run->token == 0) {
        pillion_reply(req, "begun", cJSON_CreateTrue());
    }
}

/* ---- call: {"method": …, "params": …}: calls it, and gives what it gave ---- */

struct calling {
    pillion_instance *self;
    char method[64];
    unsigned times;
    pillion_bytes params;
};

static void called(pillion_request *req, const char *code, pillion_bytes result, void *data)
{
    struct calling *calling = data;

    if (req == NULL)
        pillion_log(calling->self, PILLION_LOG_NOTICE, "a call was for nobody: %s",
                    code == NULL ? "done" : code);
    else if (code != NULL)
        pillion_fail_raw(req, code, result);
    else if (--calling->times > 0)
        pillion_call(req, calling->method, calling->params, called, calling);
    else
        pillion_reply_raw(req, "called", result);
}

static void call(pillion_request *req)
{
    struct calling *calling = pillion_alloc(req, sizeof(*calling));
    const cJSON *times = cJSON_GetObjectItemCaseSensitive(pillion_params(req), "times");

    *calling = (struct calling){.self = pillion_self(req),
                                .times = times == NULL ? 1 : (unsigned)times->valueint,
                                .params = pillion_json_member(pillion_params_raw(req), "params")};
    snprintf(calling->method, sizeof(calling->method), "%s", text(req, "method"));
    pillion_call(req, calling->method, calling->params, called, calling);
}

/* ---- told: what an inner request sees ---- */

static void told(pillion_request *req)
{
    pillion_bytes member = pillion_member(req, "token"), id = pillion_request_id(req);
    uint64_t left = pillion_deadline_ms(req);
    cJSON *list = cJSON_CreateArray();

    cJSON_AddItemToArray(list, cJSON_CreateString(pillion_method_name(req)));
    cJSON_AddItemToArray(list, cJSON_CreateBool(member.data != NULL));
    cJSON_AddItemToArray(list, cJSON_CreateBool(id.data != NULL));
    cJSON_AddItemToArray(list, cJSON_CreateBool(strncmp(pillion_peer(req), "127.", 4) == 0));
    cJSON_AddItemToArray(list, cJSON_CreateBool(left <= 60000));
    pillion_reply(req, "told", list);
}

/* ---- grow: N bytes more, that nothing gives back ---- */

static void grow(pillion_request *req)
{
    size_t size = (size_t)pillion_params(req)->valuedouble;
    static char *kept[16]; /* a leak that no tool takes for one */
    static unsigned count;
    char *bytes = kept[count++ % 16] = malloc(size);

    for (size_t i = 0; i < size; i += 1024)
        bytes[i] = 1;
    pillion_reply(req, "grown", cJSON_CreateBool(bytes != NULL));
}

/* ---- no_calls: calls of functions that are not there ---- */

static void no_calls(pillion_request *req)
{
    pillion_instance *self = pillion_self(req);

    if (pillion_on_end(req, NULL, NULL) || pillion_run(self, NULL, NULL, NULL) ||
        pillion_post(self, NULL, NULL) || pillion_timer(self, 1, 1, NULL, NULL) != 0 ||
        pillion_server_timer(self, 1, NULL, NULL) != 0 ||
        pillion_watch(self, 0, PILLION_READ, NULL, NULL) != 0)
        abort();
    if (strcmp(text(req, "how"), "call") == 0)
        pillion_call(req, "ping", (pillion_bytes){"1", 1}, NULL, NULL);
    else
        pillion_offload(req, 0, NULL, NULL, NULL);
}

/* ---- stands: the worker is stopped in the middle of it ---- */

static void stands(pillion_request *req)
{
    raise(SIGSTOP);
    pillion_reply(req, "stood", cJSON_CreateTrue());
}

/* ---- half: a result that is begun, and gone on with later ---- */

static void half_later(pillion_instance *self, void *data)
{
    pillion_request *req = pillion_resume(((struct belonging *)data)->token);

    (void)self;
    if (req == NULL)
        return;
    if (strcmp(((struct belonging *)data)->name, "fail") == 0) {
        pillion_fail(req, "odd", "it is");
        return;
    }
    pillion_put_integer(req, NULL, 2);
    pillion_end(req);
}

static void half(pillion_request *req)
{
    struct belonging *belonging = pillion_alloc(req, sizeof(*belonging));

    snprintf(belonging->name, sizeof(belonging->name), "%s", text(req, "how"));
    pillion_begin_array(req, "half");
    pillion_put_integer(req, NULL, 1);
    if (strcmp(belonging->name, "reply") == 0) {
        pillion_reply(req, "whole", cJSON_CreateNumber(3));
        return;
    }
    belonging->token = pillion_defer(req, 0);
    pillion_end_with(req, pillion_timer(pillion_self(req), 1, 0, half_later, belonging));
}

static void *null;

static void crash(pillion_request *req)
{
    (void)req;
    *(char *)null = 1;
}

static void loops(pillion_request *req)
{
    (void)req;
    for (volatile bool on = true; on;)
        ;
}

/* ---- a timer of the whole server ---- */

static void server_tick(pillion_instance *self, void *data)
{
    static bool told;

    (void)data;
    pillion_count(self, 0, 1);
    if (!told)
        pillion_log(self, PILLION_LOG_NOTICE, "worker %d of generation %llu ticks",
                    pillion_worker(self), (unsigned long long)pillion_generation(self));
    told = true;
}

#define SELDOM_MS 1500

static void seldom_tick(pillion_instance *self, void *data)
{
    (void)data;
    pillion_count(self, 1, 1);
}

static const pillion_metric metrics[] = {
    {.name = "ticks", .type = PILLION_COUNTER},
    {.name = "seldom", .type = PILLION_COUNTER},
    {0},
};

static int start(pillion_instance *self, pillion_error_text *error)
{
    struct run *run = calloc(1, sizeof(*run));

    run->self = self;
    if (pillion_server_timer(self, 0, server_tick, NULL) != 0)
        return pillion_error(error, "a timer of no period is set");
    pillion_server_timer(self, 20, server_tick, NULL);
    pillion_server_timer(self, SELDOM_MS, seldom_tick, NULL);
    return pillion_run(self, ran, ran_out, run) ? 0 : pillion_error(error, "no thread");
}

static void stop(pillion_instance *self)
{
    pillion_log(self, PILLION_LOG_NOTICE, "it stops");
}

/* ---- values ---- */

static pillion_verdict mark(pillion_request *req)
{
    pillion_bytes user = pillion_member(req, "user");
    char *name = pillion_alloc(req, user.size + 1);

    if (user.data == NULL)
        return PILLION_NEXT;
    pillion_json_string(user, name, user.size + 1);
    if (!pillion_set_value(req, "belongs.user", "nobody") ||
        !pillion_set_value(req, "belongs.user", name) ||
        !pillion_set_value(req, "belongs.other", req))
        abort();
    return PILLION_NEXT;
}

static void shown(pillion_request *req)
{
    const char *user = pillion_value(req, "belongs.user");

    pillion_log(pillion_self(req), PILLION_LOG_NOTICE, "after: the user is %s",
                user == NULL ? "none" : user);
}

static void who(pillion_request *req)
{
    const char *user = pillion_value(req, "belongs.user");

    if (pillion_value(req, "belongs.none") != NULL)
        abort();
    pillion_reply(req, "who", user == NULL ? cJSON_CreateNull() : cJSON_CreateString(user));
}

static void who_later(pillion_instance *self, void *data)
{
    pillion_request *req = pillion_resume(((struct belonging *)data)->token);

    (void)self;
    if (req != NULL)
        who(req);
}

static void later(pillion_request *req)
{
    struct belonging *belonging = pillion_alloc(req, sizeof(*belonging));

    belonging->token = pillion_defer(req, 0);
    pillion_end_with(req, pillion_timer(pillion_self(req), 1, 0, who_later, belonging));
}

/* ---- results that are written ---- */

/* Every other call leaves a result behind that it has not ended: 1000 bytes and more of it. */
static void writes(pillion_request *req)
{
    static unsigned calls;
    bool half = calls++ % 2 == 0;

    pillion_begin_array(req, half ? "half" : "whole");
    for (int i = 0; i < (half ? 1000 : 3); i++)
        pillion_put_integer(req, NULL, i);
    if (!half)
        pillion_end(req);
}

static const pillion_filter filters[] = {
    {.name = "mark", .before = mark, .after = shown},
    {0},
};

static const pillion_method methods[] = {
    {.name = "ends", .handler = ends},
    {.name = "ticks", .handler = ticks},
    {.name = "ticked", .handler = ticked_so_far},
    {.name = "work", .handler = work},
    {.name = "run", .handler = run},
    {.name = "call", .handler = call},
    {.name = "told", .handler = told},
    {.name = "grow", .handler = grow},
    {.name = "no_calls", .handler = no_calls},
    {.name = "stands", .handler = stands},
    {.name = "half", .handler = half},
    {.name = "crash", .handler = crash},
    {.name = "loops", .handler = loops},
    {.name = "who", .handler = who},
    {.name = "who_later", .handler = later},
    {.name = "writes", .handler = writes},
    {0},
};

PILLION_MODULE(.name = "belongs", .version = "1.0.0", .methods = methods, .filters = filters,
               .metrics = metrics, .start = start, .stop = stop);
