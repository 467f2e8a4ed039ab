/* Methods that answer later, in every way there is, and methods that do it wrong. */
#include <pillion/module.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What waits: in the request's own memory. */
struct wait {
    pillion_token token;
    pillion_instance *self;
    int64_t ms;
    unsigned since; /* how often `wake` had been called */
    int pipe[2];
    pillion_handle handle;
};

static int64_t number(pillion_request *req, const char *name, int64_t otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(pillion_params(req), name);
    return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : otherwise;
}

static void echo(pillion_request *req)
{
    pillion_reply_raw(req, "later", pillion_params_raw(req));
}

/* ---- wait: {"ms": N} ---- */

static void waited(pillion_instance *self, void *data)
{
    struct wait *wait = data;
    pillion_request *req = pillion_resume(wait->token);

    (void)self;
    if (req == NULL)
        return;
    if (cJSON_HasObjectItem(pillion_params(req), "delete"))
        cJSON_Delete((cJSON *)pillion_params(req)); /* wrong, and harmless */
    echo(req);
}

static void wait_gone(void *data)
{
    struct wait *wait = data;

    pillion_cancel(wait->handle);
    pillion_log(wait->self, PILLION_LOG_NOTICE, "a wait is given up");
}

static void wait_ms(pillion_request *req)
{
    struct wait *wait = pillion_alloc(req, sizeof(*wait));

    wait->self = pillion_self(req);
    wait->ms = number(req, "ms", 10);
    wait->token = pillion_defer(req, (uint64_t)number(req, "timeout", 0));
    if (wait->token == 0)
        return;
    wait->handle = pillion_timer(wait->self, (uint64_t)wait->ms, 0, waited, wait);
    pillion_on_cancel(wait->token, wait_gone, wait);
}

/* ---- relay: calls `wait`, and gives what it gave ---- */

static void relayed(pillion_request *req, const char *code, pillion_bytes result, void *data)
{
    (void)data;
    if (req != NULL && code != NULL)
        pillion_fail_raw(req, code, result);
    else if (req != NULL)
        pillion_reply_raw(req, "later", result);
}

static void relay(pillion_request *req)
{
    pillion_call(req, "wait", pillion_params_raw(req), relayed, NULL);
}

/* ---- cancels: {"how": "twice", "same" or "instead"} ---- */

static void first_gone(void *data)
{
    pillion_log(data, PILLION_LOG_NOTICE, "the first is told");
}

static void second_gone(void *data)
{
    pillion_log(data, PILLION_LOG_NOTICE, "the second is told");
}

static void cancels(pillion_request *req)
{
    const char *how =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(pillion_params(req), "how"));
    pillion_instance *self = pillion_self(req);
    pillion_token token = pillion_defer(req, 0);

    pillion_on_cancel(token, first_gone, self);
    if (strcmp(how, "instead") == 0)
        pillion_on_cancel(token, NULL, NULL);
    pillion_on_cancel(token, strcmp(how, "same") == 0 ? first_gone : second_gone, self);
}

/* ---- tick_rarely: a timer of the longest period there is; how often it has fired by then ---- */

struct rare {
    pillion_token token;
    pillion_handle timer;
    unsigned ticks;
};

static void ticks_rarely(pillion_instance *self, void *data)
{
    (void)self;
    ((struct rare *)data)->ticks++;
}

static void count_rare(pillion_instance *self, void *data)
{
    struct rare *rare = data;
    pillion_request *req = pillion_resume(rare->token);

    (void)self;
    pillion_cancel(rare->timer);
    if (req != NULL)
        pillion_reply(req, "ticked", cJSON_CreateNumber(rare->ticks));
}

static void tick_rarely(pillion_request *req)
{
    struct rare *rare = pillion_alloc(req, sizeof(*rare));

    *rare = (struct rare){.token = pillion_defer(req, 0)};
    rare->timer = pillion_timer(pillion_self(req), 0, UINT64_MAX, ticks_rarely, rare);
    pillion_timer(pillion_self(req), 20, 0, count_rare, rare);
}

/* ---- hold and let go: {"key": N} ---- */

#define HELD_MAX 1000
static pillion_token held[HELD_MAX];

static void hold(pillion_request *req)
{
    pillion_token token = pillion_defer(req, (uint64_t)number(req, "timeout", 0));
    held[number(req, "key", 0) % HELD_MAX] = token;
}

static void let_go(pillion_request *req)
{
    pillion_request *other = pillion_resume(held[number(req, "key", 0) % HELD_MAX]);

    if (other != NULL)
        echo(other);
    pillion_reply(req, "let_go", cJSON_CreateBool(other != NULL));
}

/* ---- sleep in a thread: {"ms": N} ---- */

static void sleeps(void *data)
{
    struct wait *wait = data;
    usleep((useconds_t)wait->ms * 1000);
}

static void slept(pillion_request *req, void *data)
{
    struct wait *wait = data;

    if (req == NULL)
        pillion_log(wait->self, PILLION_LOG_NOTICE, "slept for nobody");
    else
        echo(req);
}

static void sleep_ms(pillion_request *req)
{
    struct wait *wait = pillion_alloc(req, sizeof(*wait));

    wait->self = pillion_self(req);
    wait->ms = number(req, "ms", 10);
    pillion_offload(req, (uint64_t)number(req, "timeout", 0), sleeps, slept, wait);
}

/* ---- sleep in a thread until all are woken, however slow the machine is ---- */
#define SLEEP_MAX_MS 60000
static _Atomic unsigned wakes;

static void sleeps_on(void *data)
{
    const struct wait *wait = data;

    for (int ms = 0; ms < SLEEP_MAX_MS && atomic_load(&wakes) == wait->since; ms++)
        usleep(1000);
}

static void sleep_on(pillion_request *req)
{
    struct wait *wait = pillion_alloc(req, sizeof(*wait));

    wait->self = pillion_self(req);
    wait->since = atomic_load(&wakes);
    pillion_offload(req, 0, sleeps_on, slept, wait);
}

static void wake(pillion_request *req)
{
    atomic_fetch_add(&wakes, 1);
    pillion_reply_raw(req, "wake", pillion_params_raw(req));
}

/* ---- tally: counts in a thread, and tells how often it has ---- */

static _Atomic unsigned tallies;

static void tallies_up(void *data)
{
    (void)data;
    atomic_fetch_add(&tallies, 1);
}

static void tallied(pillion_request *req, void *data)
{
    (void)data;
    if (req != NULL)
        pillion_reply(req, "tally", cJSON_CreateNumber(atomic_load(&tallies)));
}

static void tally(pillion_request *req)
{
    pillion_offload(req, 0, tallies_up, tallied, NULL);
}

/* ---- time_left: what is left of the deadline; null: there is none ---- */

static void time_left(pillion_request *req)
{
    uint64_t ms = pillion_deadline_ms(req);

    pillion_reply(req, "left",
                  ms == UINT64_MAX ? cJSON_CreateNull() : cJSON_CreateNumber((double)ms));
}

/* ---- what the handler has seen of the request, read in a thread ---- */

struct reading {
    struct wait wait;
    pillion_bytes raw, body;
    char *raw_then, *body_then;
    bool same;
};

static void reads(void *data)
{
    struct reading *reading = data;

    if (reading->wait.ms >= 0)
        sleeps(&reading->wait);
    else
        sleeps_on(&reading->wait);
    reading->same = memcmp(reading->raw.data, reading->raw_then, reading->raw.size) == 0 &&
                    memcmp(reading->body.data, reading->body_then, reading->body.size) == 0;
}

static void has_read(pillion_request *req, void *data)
{
    const struct reading *reading = data;

    pillion_log(reading->wait.self, PILLION_LOG_NOTICE, "what the thread has read is %s",
                reading->same ? "the same" : "something else");
    if (req != NULL)
        pillion_reply(req, "read", cJSON_CreateBool(reading->same));
}

static void reads_later(pillion_instance *self, void *data)
{
    struct reading *reading = data;
    pillion_request *req = pillion_resume(reading->wait.token);

    (void)self;
    if (req == NULL)
        return;
    reading->wait.ms = 0;
    reads(reading);
    has_read(req, reading);
}

static char *copy_of(pillion_request *req, pillion_bytes bytes)
{
    return memcpy(pillion_alloc(req, bytes.size), bytes.data, bytes.size);
}

static void read_raw(pillion_request *req)
{
    struct reading *reading = pillion_alloc(req, sizeof(*reading));

    *reading = (struct reading){.raw = pillion_params_raw(req), .body = pillion_body(req)};
    reading->raw_then = copy_of(req, reading->raw);
    reading->body_then = copy_of(req, reading->body);
    reading->wait = (struct wait){
        .self = pillion_self(req), .ms = number(req, "ms", -1), .since = atomic_load(&wakes)};
    if (number(req, "timer", 0) == 0) {
        pillion_offload(req, (uint64_t)number(req, "timeout", 0), reads, has_read, reading);
        return;
    }
    reading->wait.token = pillion_defer(req, 0);
    pillion_timer(reading->wait.self, (uint64_t)number(req, "timer", 0), 0, reads_later, reading);
}

/* ---- sleep in a thread, and once more, for longer than the client waits ---- */

static void scribbles(void *data)
{
    struct wait *wait = data;

    sleeps_on(wait);
    memset(wait, 'X', sizeof(*wait));
}

static void scribbled(pillion_request *req, void *data)
{
    (void)data; /* nothing of it is left */
    if (req != NULL)
        echo(req);
}

static void slept_once(pillion_request *req, void *data)
{
    if (req != NULL)
        pillion_offload(req, 30, scribbles, scribbled, data);
}

static void sleep_twice(pillion_request *req)
{
    struct wait *wait = pillion_alloc(req, sizeof(*wait));

    wait->self = pillion_self(req);
    wait->ms = number(req, "ms", 10);
    wait->since = atomic_load(&wakes);
    pillion_offload(req, 0, sleeps, slept_once, wait);
}

/* ---- what is held is answered with so many bytes each: {"size": N} ---- */

static void grown(pillion_instance *self, void *data)
{
    (void)self;
    (void)data;
    for (size_t key = 0; key < HELD_MAX; key++) {
        pillion_request *req = held[key] == 0 ? NULL : pillion_resume(held[key]);
        held[key] = 0;
        if (req == NULL)
            continue;
        size_t size = (size_t)number(req, "size", 1);
        char *text = pillion_alloc(req, size + 2);
        memset(text, 'x', size + 2);
        text[0] = text[size + 1] = '"';
        pillion_reply_raw(req, "grown", (pillion_bytes){text, size + 2});
    }
}

static void let_grow(pillion_request *req)
{
    pillion_timer(pillion_self(req), 1, 0, grown, NULL);
    pillion_reply_raw(req, "let_grow", pillion_params_raw(req));
}

/* ---- a pipe that somebody writes to, watched ---- */

static void piped(pillion_instance *self, int fd, unsigned events, void *data)
{
    struct wait *wait = data;
    char word[16] = "";
    ssize_t size = read(fd, word, sizeof(word) - 1);
    pillion_request *req = pillion_resume(wait->token);

    (void)self;
    close(wait->pipe[0]); /* ends the watch */
    close(wait->pipe[1]);
    if (req != NULL && size > 0 && (events & PILLION_READ))
        pillion_reply(req, "piped", cJSON_CreateString(word));
}

static void writes(pillion_instance *self, void *data)
{
    struct wait *wait = data;
    (void)self;
    if (write(wait->pipe[1], "through", 7) != 7)
        abort();
}

static void through_pipe(pillion_request *req)
{
    struct wait *wait = pillion_alloc(req, sizeof(*wait));

    wait->self = pillion_self(req);
    if (pipe(wait->pipe) != 0) {
        pillion_fail(req, PILLION_INTERNAL_ERROR, "no pipe");
        return;
    }
    wait->token = pillion_defer(req, 0);
    pillion_watch(wait->self, wait->pipe[0], PILLION_READ, piped, wait);
    pillion_timer(wait->self, 5, 0, writes, wait);
}

/* ---- posting ---- */

static void *posting(void *data)
{
    struct wait *wait = data;
    pillion_post(wait->self, waited, wait);
    return NULL;
}

static void nothing(pillion_request *req, void *data)
{
    (void)data;
    if (req != NULL)
        echo(req);
}

/* From a thread of the module's own. */
static void post(pillion_request *req)
{
    struct wait *wait = pillion_alloc(req, sizeof(*wait));
    pthread_t thread;

    wait->self = pillion_self(req);
    wait->token = pillion_defer(req, 0);
    if (pthread_create(&thread, NULL, posting, wait) == 0)
        pthread_detach(thread);
}

/* ---- at once, or twice ---- */

static void at_once(pillion_request *req)
{
    echo(pillion_resume(pillion_defer(req, 0)));
}

static void again(pillion_instance *self, void *data)
{
    struct wait *wait = data;
    pillion_request *req = pillion_resume(wait->token);

    if (req == NULL)
        return;
    if (wait->ms-- > 0) {
        wait->token = pillion_defer(req, 0);
        pillion_timer(self, 1, 0, again, wait);
        return;
    }
    echo(req);
}

static void thrice(pillion_request *req)
{
    struct wait *wait = pillion_alloc(req, sizeof(*wait));

    wait->ms = 3;
    wait->token = pillion_defer(req, 0);
    pillion_timer(pillion_self(req), 1, 0, again, wait);
}

/* ---- wrong ---- */

static void resume_twice(pillion_instance *self, void *data)
{
    struct wait *wait = data;
    pillion_token token = wait->token;
    pillion_request *req = pillion_resume(token);

    (void)self;
    if (req == NULL)
        return;
    if (pillion_resume(token) != NULL)
        abort();
    echo(req);
    echo(req);
}

static void twice(pillion_request *req)
{
    struct wait *wait = pillion_alloc(req, sizeof(*wait));

    wait->token = pillion_defer(req, 0);
    pillion_timer(pillion_self(req), 1, 0, resume_twice, wait);
}

static void resumes(pillion_instance *self, void *data)
{
    (void)self;
    pillion_resume(((struct wait *)data)->token);
}

static void forgets(pillion_request *req)
{
    struct wait *wait = pillion_alloc(req, sizeof(*wait));

    wait->token = pillion_defer(req, 0);
    pillion_timer(pillion_self(req), 1, 0, resumes, wait);
}

static void answers_deferred(pillion_request *req)
{
    pillion_defer(req, 50);
    echo(req);
}

static void made_up(pillion_request *req)
{
    pillion_request *other = pillion_resume(0x7777777700000001u);
    pillion_reply(req, "made_up", cJSON_CreateBool(other != NULL));
}

/* Keeps its token when it is over. */
static pillion_token stale;

static void leave_stale(pillion_request *req)
{
    struct wait *wait = pillion_alloc(req, sizeof(*wait));

    wait->self = pillion_self(req);
    wait->token = stale = pillion_defer(req, (uint64_t)number(req, "timeout", 0));
    if (number(req, "timeout", 0) == 0)
        pillion_timer(wait->self, 1, 0, waited, wait);
}

static void use_stale(pillion_request *req)
{
    pillion_request *other = pillion_resume(stale);
    pillion_reply(req, "use_stale", cJSON_CreateBool(other != NULL));
}

/* Defers once more, for less time than it takes, and resumes all the same. */
static void too_late(pillion_instance *self, void *data)
{
    (void)self;
    pillion_resume(*(pillion_token *)data);
    free(data);
}

static void once_more(pillion_instance *self, void *data)
{
    struct wait *wait = data;
    pillion_request *req = pillion_resume(wait->token);
    pillion_token *token = malloc(sizeof(*token));

    *token = pillion_defer(req, 10);
    pillion_timer(self, 40, 0, too_late, token);
}

static void late_again(pillion_request *req)
{
    struct wait *wait = pillion_alloc(req, sizeof(*wait));

    wait->token = pillion_defer(req, 60000); /* not what the test has made short */
    pillion_timer(pillion_self(req), 1, 0, once_more, wait);
}

static pillion_request *kept;

static void keeps(pillion_instance *self, void *data)
{
    (void)self;
    kept = pillion_resume(((struct wait *)data)->token);
    if (kept != NULL)
        echo(kept);
}

static void keep(pillion_request *req)
{
    struct wait *wait = pillion_alloc(req, sizeof(*wait));

    wait->token = pillion_defer(req, 0);
    pillion_timer(pillion_self(req), 1, 0, keeps, wait);
}

/* Answers what was answered long ago. */
static void use_kept(pillion_request *req)
{
    if (kept != NULL)
        echo(kept);
    echo(req);
}

static void thread_replies(void *data)
{
    pillion_request *req = data;
    pillion_fail(req, "from_thread", "no");
}

static void in_thread(pillion_request *req)
{
    pillion_offload(req, 0, thread_replies, nothing, req);
}

/* ---- everything that belongs to the loop, in a thread; what threads may call, there as well ----
 */

struct everything {
    pillion_instance *self;
    pillion_request *req; /* not valid any more */
    pillion_token token;
    pillion_handle timer;
    const cJSON *tree;
    unsigned
        done; /* functions that did something though they must not, or nothing though they may */
};

static void never(pillion_instance *self, void *data)
{
    (void)self;
    ((struct everything *)data)->done += 1000;
}

static void never_watched(pillion_instance *self, int fd, unsigned events, void *data)
{
    (void)fd;
    (void)events;
    never(self, data);
}

static void never_cancelled(void *data)
{
    never(NULL, data);
}

static void never_works(void *data)
{
    never(NULL, data);
}

static void never_done(pillion_request *req, void *data)
{
    (void)req;
    never(NULL, data);
}

static void calls_what_is_the_loops(struct everything *all)
{
    pillion_request *req = all->req;
    pillion_log_field none = {0};

    all->done += pillion_params_raw(req).data != NULL;
    all->done += pillion_params(req) != NULL;
    all->done += pillion_method_config(req) != NULL;
    all->done += pillion_idempotent(req);
    all->done += pillion_method_name(req)[0] != 0;
    all->done += pillion_member(req, "in").data != NULL;
    all->done += pillion_body(req).data != NULL;
    all->done += pillion_request_id(req).data != NULL;
    all->done += pillion_peer(req)[0] != 0;
    all->done += pillion_self(req) != NULL;
    all->done += pillion_alloc(req, 1) != NULL;
    pillion_reply(req, "wrong", cJSON_CreateTrue());
    pillion_reply_raw(req, "wrong", (pillion_bytes){"1", 1});
    pillion_fail(req, "wrong", "wrong");
    pillion_fail_raw(req, "wrong", (pillion_bytes){"1", 1});
    all->done += pillion_defer(req, 0) != 0;
    all->done += pillion_resume(all->token) != NULL;
    all->done += pillion_on_cancel(all->token, never_cancelled, all);
    all->done += pillion_rerunnable(all->token, true);
    pillion_offload(req, 0, never_works, never_done, all);
    all->done += pillion_timer(all->self, 0, 0, never, all) != 0;
    all->done += pillion_watch(all->self, 0, PILLION_READ, never_watched, all) != 0;
    all->done += pillion_watch_change(all->timer, PILLION_READ);
    pillion_cancel(all->timer);
    all->done += pillion_filter_config(req) != NULL;
    all->done += pillion_error_code(req) != NULL;
    all->done += pillion_reply_size(req) != 0;
    all->done += pillion_elapsed_ns(req) != 0;
    pillion_log_request(req, PILLION_LOG_ERROR, &none, "wrong");
    all->done += pillion_server_methods(req) != NULL;
    all->done += pillion_server_describe(req, "ping") != NULL;
    all->done += pillion_server_health(req) != NULL;
    all->done += pillion_server_stats(req) != NULL;
}

static void calls_what_is_anybodys(struct everything *all)
{
    char text[16];
    pillion_bytes json = {"{\"a\":\"b\"}", 9};
    pillion_bytes member = pillion_json_member(json, "a");

    pillion_log(all->self, PILLION_LOG_NOTICE, "a thread may log");
    all->done += pillion_printable(json, text, sizeof(text)) != json.size;
    all->done += !pillion_json_check(json);
    all->done += pillion_json_string(member, text, sizeof(text)) != 1;
    all->done += pillion_zone_open(all->self, "none") != NULL;
    all->done += pillion_config(all->self) != NULL;
    all->done += pillion_state(all->self) != NULL;
    all->done += pillion_worker(all->self) != 0;
    all->done += pillion_worker_count(all->self) != 1;
    all->done += pillion_generation(all->self) != 1;
    all->done += cJSON_GetArraySize(all->tree) != 3;
    void *memory = pillion_realloc(all->self, pillion_malloc(all->self, 10), 20);
    all->done += memory == NULL;
    pillion_free(all->self, memory);
}

static void calls_everything(void *data)
{
    calls_what_is_the_loops(data);
    calls_what_is_anybodys(data);
}

static void called_everything(pillion_request *req, void *data)
{
    struct everything *all = data;

    if (req == NULL)
        return;
    pillion_cancel(all->timer);
    pillion_reply(req, "called", cJSON_CreateNumber(all->done));
}

/* params: three values. */
static void everything(pillion_request *req)
{
    struct everything *all = pillion_alloc(req, sizeof(*all));

    *all = (struct everything){.self = pillion_self(req), .req = req, .tree = pillion_params(req)};
    all->timer = pillion_timer(all->self, 3600000, 0, never, all);
    pillion_offload(req, 0, calls_everything, called_everything, all);
}

/* ---- dying ---- */

static void dies(pillion_instance *self, void *data)
{
    (void)self;
    (void)data;
    abort();
}

static void dies_later(pillion_request *req)
{
    pillion_defer(req, 0);
    pillion_timer(pillion_self(req), 5, 0, dies, NULL);
}

static void resume_and_die(pillion_instance *self, void *data)
{
    (void)self;
    if (pillion_resume(((struct wait *)data)->token) != NULL)
        abort();
}

static void resumed_dies(pillion_request *req)
{
    struct wait *wait = pillion_alloc(req, sizeof(*wait));

    wait->token = pillion_defer(req, 0);
    pillion_timer(pillion_self(req), 1, 0, resume_and_die, wait);
}

static void loops(pillion_instance *self, void *data)
{
    (void)self;
    (void)data;
    for (volatile bool on = true; on;)
        ;
}

static void loops_later(pillion_request *req)
{
    pillion_defer(req, 0);
    pillion_timer(pillion_self(req), 5, 0, loops, NULL);
}

static void thread_dies(void *data)
{
    (void)data;
    abort();
}

static void dies_in_thread(pillion_request *req)
{
    pillion_offload(req, 0, thread_dies, nothing, NULL);
}

static void crash(pillion_request *req)
{
    (void)req;
    abort();
}

/* ---- a timer that goes on ---- */

static unsigned ticks;

static void tick(pillion_instance *self, void *data)
{
    (void)self;
    (void)data;
    ticks++;
}

static int start(pillion_instance *self, pillion_error_text *error)
{
    if (pillion_timer(self, 1, 5, tick, NULL) == 0)
        return pillion_error(error, "no timer");
    return 0;
}

static int check(pillion_instance *self, pillion_error_text *error)
{
    if (pillion_timer(self, 1, 5, tick, NULL) != 0)
        return pillion_error(error, "a timer in check");
    return 0;
}

static void ticked(pillion_request *req)
{
    pillion_reply(req, "ticks", cJSON_CreateNumber(ticks));
}

/* ---- zones: {"key": TEXT} ---- */

static void hits(pillion_request *req)
{
    const cJSON *key = cJSON_GetObjectItemCaseSensitive(pillion_params(req), "key");
    pillion_zone *zone = pillion_zone_open(pillion_self(req), "limits");
    const char *text = cJSON_IsString(key) ? key->valuestring : "";
    size_t size = strlen(text);
    int64_t before = 0;

    if (zone == NULL || size == 0) {
        pillion_fail(req, PILLION_INVALID_PARAMS, "no zone, or no key");
        return;
    }
    long found = pillion_zone_get(zone, text, size, &before, sizeof(before));
    int64_t now = pillion_zone_add(zone, text, size, 1, 0);
    if (now == 3) {
        pillion_zone_set(zone, "third", 5, text, size, 60000);
        pillion_zone_delete(zone, text, size);
    }
    cJSON *result = cJSON_CreateObject();
    cJSON_AddNumberToObject(result, "found", (double)found);
    cJSON_AddNumberToObject(result, "before", (double)before);
    cJSON_AddNumberToObject(result, "now", (double)now);
    pillion_reply(req, "hits", result);
}

static const pillion_method methods[] = {
    {.name = "relay", .handler = relay},
    {.name = "wait", .handler = wait_ms},
    {.name = "retry", .handler = wait_ms, .idempotent = true},
    {.name = "cancels", .handler = cancels},
    {.name = "hold", .handler = hold},
    {.name = "tick_rarely", .handler = tick_rarely},
    {.name = "hold_again", .handler = hold, .idempotent = true},
    {.name = "let_go", .handler = let_go},
    {.name = "nap", .handler = sleep_ms},
    {.name = "sleep_on", .handler = sleep_on},
    {.name = "wake", .handler = wake},
    {.name = "tally", .handler = tally},
    {.name = "time_left", .handler = time_left},
    {.name = "read_raw", .handler = read_raw},
    {.name = "pipe", .handler = through_pipe},
    {.name = "post", .handler = post},
    {.name = "at_once", .handler = at_once},
    {.name = "thrice", .handler = thrice},
    {.name = "twice", .handler = twice},
    {.name = "forgets", .handler = forgets},
    {.name = "answers_deferred", .handler = answers_deferred},
    {.name = "made_up", .handler = made_up},
    {.name = "keep", .handler = keep},
    {.name = "nap_twice", .handler = sleep_twice},
    {.name = "let_grow", .handler = let_grow},
    {.name = "late_again", .handler = late_again},
    {.name = "leave_stale", .handler = leave_stale},
    {.name = "use_stale", .handler = use_stale},
    {.name = "use_kept", .handler = use_kept},
    {.name = "in_thread", .handler = in_thread},
    {.name = "everything", .handler = everything},
    {.name = "dies_later", .handler = dies_later},
    {.name = "resumed_dies", .handler = resumed_dies},
    {.name = "loops_later", .handler = loops_later},
    {.name = "dies_in_thread", .handler = dies_in_thread},
    {.name = "crash_now", .handler = crash},
    {.name = "ticks", .handler = ticked},
    {.name = "hits", .handler = hits},
    {0},
};

PILLION_MODULE(.name = "later", .version = "1", .methods = methods, .check = check, .start = start);
