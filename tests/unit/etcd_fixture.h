/* A client of etcd with a loop of its own, and what it has told, against real members. */
#ifndef PILLION_TESTS_ETCD_FIXTURE_H
#define PILLION_TESTS_ETCD_FIXTURE_H

#include <dlfcn.h>

#include "../e2e/etcd_server.h"
#include "base/clock.h"
#include "base/memory.h"
#include "built.h"
#include "event/loop.h"
#include "registry/etcd.h"
#include "registry/plugin.h"
#include "unit.h"

#define ROWS_MAX 2048

/* One client, with the rows that its watch has told. */
struct peer {
    struct etcd *etcd;
    struct {
        char key[256], value[256];
        size_t value_size;
    } rows[ROWS_MAX];
    size_t row_count;
    unsigned snapshots, puts, gones, settled, helds, leases, lost_contacts;
    int64_t lease;
    bool there, ended, ended_well;
    char why[512], trouble[512];
};

static struct loop loop;
static struct timer tick;
static bool (*reached)(void);
static uint64_t give_up_at;

static const struct http_table *http(void)
{
    void *library = dlopen(built_path("registry.so"), RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(library != NULL, "%s", dlerror());
    const struct registry_plugin *plugin = dlsym(library, REGISTRY_PLUGIN_SYMBOL);
    ck_assert_ptr_nonnull(plugin);
    ck_assert_uint_eq(plugin->version, REGISTRY_PLUGIN_VERSION);
    return plugin->http;
}

/* Ends the test, which succeeds, where there is no etcd, or no registry.so; with a word. */
static inline void etcd_needed(void)
{
    const char *path = getenv("SKIPPED"); /* tests.mk */
    const char *missing = !etcd_is_installed()                           ? "etcd"
                          : access(built_path("registry.so"), R_OK) != 0 ? "registry.so"
                                                                         : NULL;
    if (missing == NULL)
        return;
    FILE *list = path == NULL ? stderr : fopen(path, "a");
    if (list != NULL)
        fprintf(list, "tests of the client of etcd, which need %s\n", missing);
    if (list != NULL && list != stderr)
        fclose(list);
    exit(0);
}

/* ---- Waiting ---- */

static void look(struct timer *timer)
{
    if (reached() || clock_ns() > give_up_at)
        loop_stop(&loop);
    else
        timer_set(&loop, timer, 2 * NS_PER_MS, look);
}

/* Runs the loop until it is so; false after that many seconds. */
static inline bool becomes(bool (*condition)(void), unsigned seconds)
{
    reached = condition;
    give_up_at = clock_ns() + seconds * NS_PER_S;
    timer_set(&loop, &tick, 0, look);
    loop_run(&loop);
    timer_cancel(&loop, &tick);
    return condition();
}

#define await(condition, seconds, ...) ck_assert_msg(becomes(condition, seconds), __VA_ARGS__)

static bool never(void)
{
    return false;
}

/* For that many milliseconds: only where that something does not happen is the promise. */
static inline void run_for(uint64_t ms)
{
    reached = never;
    give_up_at = clock_ns() + ms * NS_PER_MS;
    timer_set(&loop, &tick, 0, look);
    loop_run(&loop);
    timer_cancel(&loop, &tick);
}

/* ---- What it tells ---- */

static inline long row_of(const struct peer *peer, const char *key)
{
    for (size_t i = 0; i < peer->row_count; i++) {
        if (strcmp(peer->rows[i].key, key) == 0)
            return (long)i;
    }
    return -1;
}

static inline bool has(const struct peer *peer, const char *key, const char *value)
{
    long at = row_of(peer, key);

    return at >= 0 && (value == NULL || strcmp(peer->rows[at].value, value) == 0);
}

static void set_row(struct peer *peer, struct bytes key, struct bytes value)
{
    char name[256];
    size_t kept = value.size < 255 ? value.size : 255;

    snprintf(name, sizeof(name), "%.*s", (int)key.size, key.data);
    long at = row_of(peer, name);
    if (at < 0) {
        ck_assert_uint_lt(peer->row_count, ROWS_MAX);
        at = (long)peer->row_count++;
    }
    memcpy(peer->rows[at].key, name, sizeof(name));
    memcpy(peer->rows[at].value, value.data, kept);
    peer->rows[at].value[kept] = '\0';
    peer->rows[at].value_size = value.size;
}

static void on_snapshot(void *context, const char *prefix, const struct etcd_row *rows,
                        size_t count)
{
    struct peer *peer = context;

    (void)prefix;
    peer->snapshots++;
    peer->row_count = 0;
    for (size_t i = 0; i < count; i++)
        set_row(peer, rows[i].key, rows[i].value);
}

static void on_put(void *context, const char *prefix, struct bytes key, struct bytes value)
{
    struct peer *peer = context;

    (void)prefix;
    peer->puts++;
    set_row(peer, key, value);
}

static void on_gone(void *context, const char *prefix, struct bytes key)
{
    struct peer *peer = context;
    char name[256];

    (void)prefix;
    peer->gones++;
    snprintf(name, sizeof(name), "%.*s", (int)key.size, key.data);
    long at = row_of(peer, name);
    if (at >= 0)
        peer->rows[at] = peer->rows[--peer->row_count];
}

static void on_settled(void *context, const char *prefix)
{
    struct peer *peer = context;

    (void)prefix;
    peer->settled++;
}

static void on_leased(void *context, int64_t lease)
{
    struct peer *peer = context;

    peer->lease = lease;
    peer->leases += lease != 0;
}

static void on_held(void *context, const char *key)
{
    struct peer *peer = context;

    (void)key;
    peer->helds++;
}

static void on_contact(void *context, bool there, const char *why)
{
    struct peer *peer = context;

    peer->there = there;
    peer->lost_contacts += !there;
    snprintf(peer->why, sizeof(peer->why), "%s", why);
}

static void on_trouble(void *context, const char *text)
{
    struct peer *peer = context;

    snprintf(peer->trouble, sizeof(peer->trouble), "%s", text);
}

static inline void on_ended(void *context, bool ended)
{
    struct peer *peer = context;

    peer->ended = true;
    peer->ended_well = ended;
}

static const struct etcd_events events = {.snapshot = on_snapshot,
                                          .put = on_put,
                                          .gone = on_gone,
                                          .settled = on_settled,
                                          .leased = on_leased,
                                          .held = on_held,
                                          .contact = on_contact,
                                          .trouble = on_trouble};

/* ---- Clients ---- */

static inline void peer_open_as(struct peer *peer, const struct etcd_settings *settings)
{
    struct error error;

    *peer = (struct peer){0};
    peer->etcd = etcd_open(&loop, http(), settings, &events, peer, &error);
    ck_assert_msg(peer->etcd != NULL, "%s", error.text);
}

static inline struct etcd_settings settings_of(const struct etcd_cluster *cluster, uint32_t ttl_s)
{
    return (struct etcd_settings){
        .urls = cluster->urls, .url_count = (size_t)cluster->count, .ttl_s = ttl_s};
}

static inline void peer_open(struct peer *peer, const struct etcd_cluster *cluster, uint32_t ttl_s)
{
    struct etcd_settings settings = settings_of(cluster, ttl_s);

    peer_open_as(peer, &settings);
}

static inline void peer_watch(struct peer *peer, const char *prefix)
{
    struct error error;

    ck_assert_msg(etcd_watch(peer->etcd, prefix, &error), "%s", error.text);
}

static inline void peer_hold(struct peer *peer, const char *key, const char *value)
{
    struct error error;

    ck_assert_msg(etcd_hold(peer->etcd, key, bytes_of(value), &error), "%s", error.text);
}

static inline struct etcd_figures figures_of(const struct peer *peer)
{
    struct etcd_figures figures;

    etcd_figures(peer->etcd, &figures);
    return figures;
}

static inline void fixture_open(void)
{
    struct error error;

    ck_assert_msg(loop_init(&loop, &error), "%s", error.text);
}

static inline void peer_close(struct peer *peer)
{
    etcd_close(peer->etcd);
    peer->etcd = NULL;
}

/* As UNIT_MAIN, but each test is a case of its own, so that CK_RUN_CASE runs it alone. */
#define ETCD_MAIN(title, ...)                                         \
    int main(void)                                                    \
    {                                                                 \
        const TTest *tests[] = {__VA_ARGS__};                         \
        Suite *suite = suite_create(title);                           \
        for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) { \
            TCase *tcase = tcase_create(tests[i]->name);              \
            tcase_set_timeout(tcase, 120);                            \
            tcase_add_test(tcase, tests[i]);                          \
            suite_add_tcase(suite, tcase);                            \
        }                                                             \
        SRunner *runner = srunner_create(suite);                      \
        srunner_run_all(runner, CK_ENV);                              \
        int failed = srunner_ntests_failed(runner);                   \
        srunner_free(runner);                                         \
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;             \
    }

#endif
