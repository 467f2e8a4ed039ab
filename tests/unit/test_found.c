/* When the server reloads by itself for methods that others offer: see core/master/found.h. The
 * clock, the directory and the generations are the test's (tests.mk wraps what gives them). */
#include "unit.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/loop.h"
#include "master/found.h"
#include "master/generations.h"
#include "master/master.h"
#include "process/gateway.h"

static struct directory *directory;
static struct error error;
static const char *offered = ""; /* what gateway_look finds */
static bool unknown;             /* and it says that this is not all */
static uint64_t now_ns;
static struct generation *current;
static struct timer *timer;
static void (*timer_call)(struct timer *timer);
static unsigned reloads;
static bool busy;

uint64_t __wrap_clock_ns(void);
uint64_t __wrap_clock_ns(void)
{
    return now_ns;
}

struct generation *__wrap_generation_current(void);
struct generation *__wrap_generation_current(void)
{
    return current;
}

const struct directory *__wrap_directory_memory(void);
const struct directory *__wrap_directory_memory(void)
{
    return directory;
}

bool __wrap_gateway_look(const struct settings *settings, const struct directory *from,
                         struct text *found);
bool __wrap_gateway_look(const struct settings *settings, const struct directory *from,
                         struct text *found)
{
    ck_assert_ptr_eq(from, directory);
    ck_assert_ptr_eq(settings, current->settings);
    text_append_string(found, offered);
    return !unknown;
}

void __wrap_timer_set(struct loop *loop, struct timer *it, uint64_t after_ns,
                      void (*call)(struct timer *timer));
void __wrap_timer_set(struct loop *loop, struct timer *it, uint64_t after_ns,
                      void (*call)(struct timer *timer))
{
    (void)loop;
    (void)after_ns;
    timer = it;
    timer_call = call;
}

void __wrap_timer_cancel(struct loop *loop, struct timer *it);
void __wrap_timer_cancel(struct loop *loop, struct timer *it)
{
    (void)loop;
    (void)it;
    timer_call = NULL;
}

static bool reload(void)
{
    if (busy)
        return false;
    reloads++;
    return true;
}

/* ---- The server ---- */

static struct proxy_all_settings all = {.service = "registry:/p/"};
static struct server_settings server = {.proxy_alls = &all};
static struct settings settings = {
    .servers = &server, .proxy_all_interval_ms = 5000, .proxy_all_keep_ms = 60000};
static struct generation generations[8];

/* Generation `number` serves, and has found `text`. */
static void serve(uint64_t number, const char *text)
{
    current = &generations[number];
    *current = (struct generation){.number = number, .settings = &settings};
    text_append_string(&current->found, text);
    found_serve();
}

static void offer(const char *text)
{
    offered = text;
    ck_assert(directory_publish(directory, NULL, 0, &error)); /* told apart by its number */
}

/* Time passes, and timers run. */
static void pass(uint64_t ms)
{
    for (; ms > 0; ms -= ms < 100 ? ms : 100) {
        now_ns += (ms < 100 ? ms : 100) * NS_PER_MS;
        if (timer_call != NULL)
            timer_call(timer);
    }
}

static void begin(void)
{
    int fd = directory_make(1 << 20, &error);

    directory = directory_map(fd, true, &error);
    ck_assert_ptr_nonnull(directory);
    close(fd);
    master.mode = MASTER_RUNNING;
    now_ns = 1000 * NS_PER_S;
    found_begin(reload);
    serve(1, "");
}

START_TEST(new_methods_are_put_to_use_at_once)
{
    begin();
    pass(10000);
    ck_assert_uint_eq(reloads, 0);
    offer("a 1 /p/a\n");
    pass(100);
    ck_assert_uint_eq(reloads, 1);
    serve(2, "a 1 /p/a\n");
    pass(100000);
    ck_assert_uint_eq(reloads, 1);
}
END_TEST

START_TEST(a_directory_that_is_published_anew_is_no_reason)
{
    begin();
    serve(2, "a 1 /p/a\n");
    offer("a 1 /p/a\n");
    pass(1000);
    offer("a 1 /p/a\n");
    pass(100000);
    ck_assert_uint_eq(reloads, 0);
}
END_TEST

START_TEST(reloads_have_an_interval)
{
    begin();
    offer("a 1 /p/a\n");
    pass(100);
    serve(2, "a 1 /p/a\n");
    offer("a 1 /p/a\nb 1 /p/b\n");
    pass(4500);
    ck_assert_uint_eq(reloads, 1);
    pass(600);
    ck_assert_uint_eq(reloads, 2);
}
END_TEST

START_TEST(methods_that_are_gone_stay_for_a_while)
{
    begin();
    serve(2, "a 1 /p/a\nb 1 /p/b\n");
    offer("b 1 /p/b\n");
    pass(50000);
    ck_assert_uint_eq(reloads, 0);
    offer("a 1 /p/a\nb 1 /p/b\n"); /* the service was restarted */
    pass(100000);
    ck_assert_uint_eq(reloads, 0);
    offer("b 1 /p/b\n");
    pass(59000);
    ck_assert_uint_eq(reloads, 0);
    pass(1200);
    ck_assert_uint_eq(reloads, 1);
}
END_TEST

/* The next binary may have to fill the directory anew, and the registry be away. */
START_TEST(what_is_not_known_yet_is_not_gone)
{
    begin();
    serve(2, "a 1 /p/a\n");
    unknown = true;
    offer("");
    pass(100000);
    ck_assert_uint_eq(reloads, 0);
    offer("b 1 /p/b\n"); /* of another path, which is known */
    pass(100);
    ck_assert_uint_eq(reloads, 1);
}
END_TEST

START_TEST(it_is_known_once_and_for_all_when_services_were_known_first)
{
    cJSON *state = cJSON_CreateObject();
    cJSON *silent = cJSON_CreateObject(); /* of a binary that does not say it */

    unknown = true;
    begin();
    pass(1000);
    ck_assert_uint_eq(found_known_ns(), 0);
    unknown = false;
    offer("");
    pass(100);
    const uint64_t known_ns = now_ns;
    ck_assert_uint_eq(found_known_ns(), known_ns);
    serve(2, "");
    unknown = true;
    offer("");
    pass(1000);
    ck_assert_uint_eq(found_known_ns(), known_ns);
    found_write(state);
    found_read(silent);
    ck_assert_uint_ne(found_known_ns(), 0);
    found_read(state);
    ck_assert_uint_eq(found_known_ns(), known_ns);
    cJSON_Delete(silent);
    cJSON_Delete(state);
}
END_TEST

START_TEST(methods_that_come_while_others_are_gone_do_not_wait)
{
    begin();
    serve(2, "a 1 /p/a\n");
    offer("");
    pass(10000);
    ck_assert_uint_eq(reloads, 0);
    offer("c 1 /p/c\n");
    pass(100);
    ck_assert_uint_eq(reloads, 1);
}
END_TEST

START_TEST(a_reload_that_fails_is_tried_less_and_less)
{
    begin();
    offer("a 1 /p/a\n");
    pass(100);
    ck_assert_uint_eq(reloads, 1);
    pass(4800); /* the generation stays the same */
    ck_assert_uint_eq(reloads, 1);
    pass(300);
    ck_assert_uint_eq(reloads, 2);
    pass(9800);
    ck_assert_uint_eq(reloads, 2);
    pass(400);
    ck_assert_uint_eq(reloads, 3);
    pass(24u * 3600 * 1000);
    ck_assert_uint_ge(reloads, 24);
    ck_assert_uint_le(reloads, 40);
}
END_TEST

START_TEST(other_reloads_and_the_end_come_first)
{
    begin();
    busy = true;
    offer("a 1 /p/a\n");
    pass(10000);
    ck_assert_uint_eq(reloads, 0);
    busy = false;
    pass(100);
    ck_assert_uint_eq(reloads, 1);

    serve(2, "");
    current->former = true; /* until a reload has read the files, it is not known what was found */
    pass(10000);
    ck_assert_uint_eq(reloads, 1);
    serve(3, "");
    master.mode = MASTER_QUITTING;
    pass(10000);
    ck_assert_uint_eq(reloads, 1);
}
END_TEST

START_TEST(without_proxy_all_nobody_looks)
{
    begin();
    server.proxy_alls = NULL;
    serve(2, "");
    server.proxy_alls = &all;
    ck_assert_ptr_null(timer_call);
}
END_TEST

UNIT_MAIN("found", new_methods_are_put_to_use_at_once,
          a_directory_that_is_published_anew_is_no_reason, reloads_have_an_interval,
          methods_that_are_gone_stay_for_a_while, what_is_not_known_yet_is_not_gone,
          it_is_known_once_and_for_all_when_services_were_known_first,
          methods_that_come_while_others_are_gone_do_not_wait,
          a_reload_that_fails_is_tried_less_and_less, other_reloads_and_the_end_come_first,
          without_proxy_all_nobody_looks)
