/* The services that are wanted: which prefixes are watched for them, and what of the watched keys
 * is published. */
#include "registry/wanted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "registry/instances.h"

#include "unit.h"

static struct text said; /* "+/pillion/shop/ -/pillion/shop/ ", in the order in which it came */
static unsigned changes;
static struct directory *directory;
static int memory;

static void watch(const char *prefix, bool on)
{
    text_printf(&said, "%s%s ", on ? "+" : "-", prefix);
}

static void look_up(const char *name, bool on)
{
    text_printf(&said, "%s?%s ", on ? "+" : "-", name);
}

static void changed(void)
{
    changes++;
}

static void begin(void)
{
    static const struct wanted_events events = {watch, look_up, changed};
    struct error error;

    if (memory == 0)
        memory = directory_make(8u << 20, &error);
    ck_assert_int_ge(memory, 0);
    directory = directory_map(memory, true, &error);
    ck_assert_ptr_nonnull(directory);
    wanted_begin(directory, &events);
}

static void expect_said(const char *expected)
{
    ck_assert_str_eq(text_string(&said), expected);
    text_free(&said);
}

static struct bytes record_of(const char *address, const char *more)
{
    static char values[8][256];
    static unsigned next;
    char *value = values[next++ % 8];

    snprintf(value, sizeof(values[0]), "{\"address\":\"%s\"%s}", address, more);
    return bytes_of(value);
}

static struct etcd_row row(const char *key)
{
    return (struct etcd_row){bytes_of(key), record_of(strrchr(key, '/') + 1, "")};
}

/* What is published of a service: "10.0.0.1:80*100 10.0.0.2:80*100 ", "?" where it is not known. */
static const char *published(const char *name)
{
    static struct text shown;
    struct error error;

    ck_assert_msg(wanted_publish(&error), "%s", error.text);
    struct directory_service *service = directory_read(directory, name, NULL);
    text_free(&shown);
    if (service == NULL)
        return "none";
    if (!service->known)
        text_append_string(&shown, "?");
    for (size_t i = 0; i < service->count; i++)
        text_printf(&shown, "%s*%u ", service->instances[i].address, service->instances[i].weight);
    free(service);
    return text_string(&shown);
}

static uint64_t since(const char *name, size_t index)
{
    struct directory_service *service = directory_read(directory, name, NULL);

    ck_assert_ptr_nonnull(service);
    ck_assert_uint_lt(index, service->count);
    uint64_t ms = service->instances[index].since_ms;
    free(service);
    return ms;
}

START_TEST(one_watch_serves_all_below_it)
{
    begin();
    ck_assert(wanted_set("registry:/pillion/shop", true));
    expect_said("+/pillion/shop/ ");
    ck_assert(wanted_set("registry:/pillion/", true));
    expect_said("+/pillion/ -/pillion/shop/ ");
    ck_assert(wanted_set("registry:/pillion/users", true));
    ck_assert(wanted_set("registry:/pillion/users", true));
    expect_said("");
    ck_assert(wanted_set("registry:/pillion/", false));
    expect_said("+/pillion/shop/ +/pillion/users/ -/pillion/ ");
    ck_assert(wanted_set("registry:/pillion/users", false));
    expect_said("-/pillion/users/ ");
}
END_TEST

START_TEST(names_that_are_none_are_refused)
{
    begin();
    ck_assert(!wanted_set("shop", true));
    ck_assert(!wanted_set("registry:shop", true));
    ck_assert(wanted_set("srv:_p._tcp.example", true));
    expect_said("+?_p._tcp.example ");
}
END_TEST

START_TEST(a_service_is_what_is_directly_below_its_name)
{
    const struct etcd_row rows[] = {row("/pillion/shop/10.0.0.1:80"),
                                    row("/pillion/shop/eu/10.0.0.2:80"),
                                    row("/pillion/users/10.0.0.3:80")};

    begin();
    wanted_set("registry:/pillion/", true);
    wanted_set("registry:/pillion/shop", true);
    ck_assert_str_eq(published("registry:/pillion/shop"), "?");
    wanted_snapshot("/pillion/", rows, 3);
    ck_assert_str_eq(published("registry:/pillion/shop"), "10.0.0.1:80*100 ");
    ck_assert_str_eq(published("registry:/pillion/"),
                     "10.0.0.1:80*100 10.0.0.2:80*100 10.0.0.3:80*100 ");
    wanted_set("registry:/pillion/shop/eu", true); /* what is known is known at once */
    ck_assert_str_eq(published("registry:/pillion/shop/eu"), "10.0.0.2:80*100 ");
}
END_TEST

/* A service of `count` servers, of which each offers methods of its own. */
static void put_large(const char *service, unsigned count)
{
    char key[64], address[32], *value = NULL;
    static char about[1024];

    memset(about, 'x', sizeof(about) - 1);
    for (unsigned i = 0; i < count; i++) {
        snprintf(address, sizeof(address), "10.0.%u.%u:80", i / 250, 1 + i % 250);
        snprintf(key, sizeof(key), "%s/%s", service, address);
        ck_assert_int_gt(asprintf(&value,
                                  "{\"address\":\"%s\",\"methods\":[{\"name\":\"m%u\","
                                  "\"summary\":\"%s\"}]}",
                                  address, i, about),
                         0);
        wanted_put(bytes_of(key), bytes_of(value));
        free(value);
    }
}

START_TEST(a_service_that_is_too_large_is_known_in_part_and_costs_no_other)
{
    const struct etcd_row one[] = {row("/small/10.0.0.1:80")};
    struct error error;

    memory = directory_make(1u << 20, &error);
    begin();
    wanted_set("registry:/large", true);
    wanted_set("registry:/small", true);
    wanted_snapshot("/large/", NULL, 0);
    wanted_snapshot("/small/", one, 1);
    put_large("/large", 1500);
    ck_assert_msg(wanted_publish(&error), "%s", error.text);
    struct directory_service *large = directory_read(directory, "registry:/large", NULL);
    ck_assert(large != NULL && large->known);
    ck_assert_msg(large->count > 200 && large->count < 600, "%zu", large->count);
    ck_assert_uint_le(large->set_count, large->count);
    ck_assert_str_eq(published("registry:/small"), "10.0.0.1:80*100 ");
    free(large);
    wanted_snapshot("/large/", NULL, 0);
    put_large("/large", 100);
    ck_assert_msg(wanted_publish(&error), "%s", error.text);
    large = directory_read(directory, "registry:/large", NULL);
    ck_assert_uint_eq(large->count, 100);
    free(large);
}
END_TEST

/* As a gateway's `proxy_all registry:/pillion/` has it. */
START_TEST(of_services_below_a_path_the_largest_makes_room_for_the_others)
{
    struct error error;
    unsigned flood = 0;

    memory = directory_make(1u << 20, &error);
    begin();
    wanted_set("registry:/p/", true);
    wanted_snapshot("/p/", NULL, 0);
    put_large("/p/flood", 1500); /* before and behind it in the order of keys are others */
    put_large("/p/early", 20);
    put_large("/p/small", 20);
    wanted_put(BYTES("/p/zero/10.0.0.1:80"), record_of("10.0.0.1:80", ""));
    ck_assert_msg(wanted_publish(&error), "%s", error.text);
    struct directory_service *all = directory_read(directory, "registry:/p/", NULL);
    for (size_t i = 0; i < all->count; i++)
        flood += strcmp(all->instances[i].service, "/p/flood") == 0;
    ck_assert_uint_eq(all->count - flood, 41);
    ck_assert_msg(flood > 200 && flood < 600, "%u", flood);
    free(all);
}
END_TEST

START_TEST(a_service_that_has_the_most_servers_makes_room_for_others)
{
    char key[64], address[32];

    begin();
    for (unsigned i = 0; i < INSTANCES_MAX + 3; i++) {
        snprintf(address, sizeof(address), "10.%u.%u.1:80", i / 250, i % 250);
        snprintf(key, sizeof(key), "/flood/%s", address);
        wanted_put(bytes_of(key), record_of(address, ""));
    }
    wanted_set("registry:/z", true);
    wanted_set("registry:/flood", true);
    wanted_snapshot("/z/", NULL, 0);
    wanted_put(BYTES("/z/10.0.0.1:80"), record_of("10.0.0.1:80", ""));
    wanted_put(BYTES("/z/10.0.0.2:80"), record_of("10.0.0.2:80", ""));
    ck_assert_str_eq(published("registry:/z"), "10.0.0.1:80*100 10.0.0.2:80*100 ");
    struct directory_service *flood = directory_read(directory, "registry:/flood", NULL);
    ck_assert_uint_eq(flood->count, INSTANCES_MAX - 2);
    free(flood);
}
END_TEST

START_TEST(changes_between_snapshots_are_followed)
{
    const struct etcd_row rows[] = {row("/s/10.0.0.1:80"), row("/s/10.0.0.2:80")};

    begin();
    wanted_set("registry:/s", true);
    wanted_snapshot("/s/", rows, 2);
    ck_assert_str_eq(published("registry:/s"), "10.0.0.1:80*100 10.0.0.2:80*100 ");
    wanted_put(BYTES("/s/10.0.0.0:80"), record_of("10.0.0.0:80", ",\"weight\":7"));
    wanted_gone(BYTES("/s/10.0.0.1:80"));
    wanted_gone(BYTES("/s/10.0.0.9:80"));
    ck_assert_str_eq(published("registry:/s"), "10.0.0.0:80*7 10.0.0.2:80*100 ");
    wanted_put(BYTES("/s/10.0.0.0:80"), record_of("10.0.0.0:80", ""));
    ck_assert_str_eq(published("registry:/s"), "10.0.0.0:80*100 10.0.0.2:80*100 ");
    wanted_snapshot("/s/", rows, 1);
    ck_assert_str_eq(published("registry:/s"), "10.0.0.1:80*100 ");
    wanted_snapshot("/s/", NULL, 0);
    ck_assert_str_eq(published("registry:/s"), "");
}
END_TEST

START_TEST(a_record_that_makes_no_sense_is_left_out_alone)
{
    const struct etcd_row rows[] = {
        row("/s/10.0.0.1:80"), {BYTES("/s/10.0.0.2:80"), BYTES("nonsense")}, row("/s/10.0.0.3:80")};

    begin();
    wanted_set("registry:/s", true);
    wanted_snapshot("/s/", rows, 3);
    ck_assert_str_eq(published("registry:/s"), "10.0.0.1:80*100 10.0.0.3:80*100 ");
    wanted_put(BYTES("/s/10.0.0.3:80"), BYTES("{}"));
    wanted_put(BYTES("/s/\x1b[31m"), BYTES("{}"));
    ck_assert_str_eq(published("registry:/s"), "10.0.0.1:80*100 ");
    ck_assert_uint_eq(instances_bad(), 3);
}
END_TEST

START_TEST(a_record_of_a_service_that_cannot_be_named_is_left_out)
{
    const uint64_t before = instances_bad();

    begin();
    wanted_set("registry:/s/", true);
    wanted_snapshot("/s/", NULL, 0);
    const char *const keys[] = {"/s//10.0.0.1:80", "/s//a/10.0.0.1:80", "/s/a;b/10.0.0.1:80",
                                "/s/a\"/10.0.0.1:80", "/s/{/10.0.0.1:80"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        wanted_put(bytes_of(keys[i]), record_of("10.0.0.1:80", ""));
    ck_assert_uint_eq(instances_bad() - before, 5);
    wanted_put(BYTES("/s/a/10.0.0.1:80"), record_of("10.0.0.1:80", ""));
    ck_assert_str_eq(published("registry:/s/"), "10.0.0.1:80*100 ");
}
END_TEST

START_TEST(servers_are_new_when_they_come_later)
{
    const struct etcd_row rows[] = {row("/s/10.0.0.1:80"), row("/s/10.0.0.2:80")};
    uint64_t before = clock_wall_ms();

    begin();
    wanted_set("registry:/s", true);
    wanted_snapshot("/s/", rows, 1);
    published("registry:/s");
    ck_assert_uint_eq(since("registry:/s", 0), 0);
    wanted_snapshot("/s/", rows, 2); /* after a compaction, say */
    published("registry:/s");
    ck_assert_uint_eq(since("registry:/s", 0), 0);
    ck_assert_uint_ge(since("registry:/s", 1), before);
}
END_TEST

/* What a process has published, another one goes on with. check(3) forks for each test, so a fork
 * within it is the former process: true there, which ends; then false in the next one. */
static bool is_former(void)
{
    struct error error;

    memory = directory_make(8u << 20, &error);
    pid_t pid = fork();
    if (pid != 0)
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    begin();
    return pid == 0;
}

START_TEST(what_the_former_process_knew_is_kept_until_more_is_known)
{
    const struct etcd_row rows[] = {row("/s/10.0.0.1:80"), row("/s/10.0.0.2:80")};

    if (is_former()) {
        wanted_set("registry:/s", true);
        wanted_set("srv:shop", true);
        wanted_snapshot("/s/", rows, 1);
        wanted_put(rows[1].key, rows[1].value);
        wanted_answer("shop", &(struct directory_instance){.address = "10.0.0.7:80", .weight = 1},
                      1);
        published("registry:/s");
        _exit(0);
    }
    uint64_t second = since("registry:/s", 1);
    wanted_set("registry:/s", true);
    wanted_set("srv:shop", true);
    ck_assert_str_eq(published("registry:/s"), "10.0.0.1:80*100 10.0.0.2:80*100 ");
    ck_assert_str_eq(published("srv:shop"), "10.0.0.7:80*1 ");
    wanted_snapshot("/s/", rows, 2);
    ck_assert_str_eq(published("registry:/s"), "10.0.0.1:80*100 10.0.0.2:80*100 ");
    ck_assert_uint_eq(since("registry:/s", 0), 0);
    ck_assert_uint_eq(since("registry:/s", 1), second);
}
END_TEST

START_TEST(servers_that_a_registry_has_lost_while_it_was_away_are_kept_for_a_while)
{
    const struct etcd_row rows[] = {row("/s/10.0.0.1:80"), row("/s/10.0.0.2:80"),
                                    row("/s/10.0.0.3:80")};

    begin();
    wanted_set("registry:/s", true);
    wanted_snapshot("/s/", rows, 3);
    wanted_keep(true);
    wanted_gone(rows[1].key);
    ck_assert_str_eq(published("registry:/s"), "10.0.0.1:80*100 10.0.0.2:80*100 10.0.0.3:80*100 ");
    wanted_snapshot("/s/", NULL, 0);
    ck_assert_str_eq(published("registry:/s"), "10.0.0.1:80*100 10.0.0.2:80*100 10.0.0.3:80*100 ");
    wanted_put(rows[2].key, record_of("10.0.0.3:80", ",\"weight\":7"));
    wanted_snapshot("/s/", &rows[1], 1);
    wanted_put(rows[2].key, record_of("10.0.0.3:80", ",\"weight\":7"));
    ck_assert_str_eq(published("registry:/s"), "10.0.0.1:80*100 10.0.0.2:80*100 10.0.0.3:80*7 ");
    ck_assert_uint_eq(since("registry:/s", 2), 0); /* it was never away: not to begin slowly */
    wanted_keep(false);
    ck_assert_str_eq(published("registry:/s"), "10.0.0.2:80*100 10.0.0.3:80*7 ");
    wanted_gone(rows[1].key);
    ck_assert_str_eq(published("registry:/s"), "10.0.0.3:80*7 ");
}
END_TEST

START_TEST(what_the_former_process_knew_is_kept_when_the_registry_has_lost_it)
{
    if (is_former()) {
        wanted_set("registry:/s", true);
        wanted_snapshot("/s/", NULL, 0);
        wanted_put(BYTES("/s/10.0.0.1:80"),
                   record_of("10.0.0.1:80", ",\"weight\":7,\"methods\":[{\"name\":\"pay\","
                                            "\"params\":{\"type\":\"object\"}}]"));
        wanted_put(BYTES("/s/10.0.0.2:80"), record_of("10.0.0.2:80", ""));
        published("registry:/s");
        _exit(0);
    }
    uint64_t first = since("registry:/s", 0);
    wanted_set("registry:/s", true);
    wanted_keep(true);
    wanted_snapshot("/s/", NULL, 0);
    ck_assert_str_eq(published("registry:/s"), "10.0.0.1:80*7 10.0.0.2:80*100 ");
    ck_assert_uint_eq(since("registry:/s", 0), first);
    struct directory_service *service = directory_read(directory, "registry:/s", NULL);
    ck_assert_uint_eq(service->set_count, 1);
    ck_assert_str_eq(service->sets[0].items[0].name, "pay");
    ck_assert_str_eq(service->sets[0].items[0].about, "{\"params\":{\"type\":\"object\"}}");
    ck_assert_uint_eq(service->instances[1].methods, UINT32_MAX);
    free(service);
    wanted_put(BYTES("/s/10.0.0.2:80"), record_of("10.0.0.2:80", ""));
    wanted_keep(false);
    ck_assert_str_eq(published("registry:/s"), "10.0.0.2:80*100 ");
}
END_TEST

START_TEST(dns_tells_all_servers_of_a_service)
{
    const struct directory_instance answer[] = {{.address = "10.0.0.1:80", .weight = 10},
                                                {.address = "10.0.0.2:80", .weight = 20}};

    begin();
    wanted_set("srv:shop", true);
    ck_assert_str_eq(published("srv:shop"), "?");
    wanted_answer("other", answer, 2);
    ck_assert_str_eq(published("srv:shop"), "?");
    wanted_answer("shop", answer, 1);
    ck_assert_str_eq(published("srv:shop"), "10.0.0.1:80*10 ");
    wanted_answer("shop", answer, 2);
    ck_assert_str_eq(published("srv:shop"), "10.0.0.1:80*10 10.0.0.2:80*20 ");
    ck_assert_uint_eq(since("srv:shop", 0), 0);
    ck_assert_uint_gt(since("srv:shop", 1), 0);
    wanted_set("srv:shop", false);
    ck_assert_str_eq(published("srv:shop"), "none");
}
END_TEST

START_TEST(there_are_only_so_many_services)
{
    char name[64];

    begin();
    for (unsigned i = 0; i < DIRECTORY_SERVICES_MAX; i++) {
        snprintf(name, sizeof(name), "registry:/s%u", i);
        ck_assert(wanted_set(name, true));
    }
    ck_assert(!wanted_set("registry:/one/more", true));
    ck_assert(wanted_set("registry:/s0", false));
    ck_assert(wanted_set("registry:/one/more", true));
}
END_TEST

UNIT_MAIN("wanted", one_watch_serves_all_below_it, names_that_are_none_are_refused,
          a_service_is_what_is_directly_below_its_name, changes_between_snapshots_are_followed,
          a_service_that_is_too_large_is_known_in_part_and_costs_no_other,
          of_services_below_a_path_the_largest_makes_room_for_the_others,
          a_service_that_has_the_most_servers_makes_room_for_others,
          a_record_that_makes_no_sense_is_left_out_alone,
          a_record_of_a_service_that_cannot_be_named_is_left_out,
          servers_are_new_when_they_come_later,
          what_the_former_process_knew_is_kept_until_more_is_known,
          servers_that_a_registry_has_lost_while_it_was_away_are_kept_for_a_while,
          what_the_former_process_knew_is_kept_when_the_registry_has_lost_it,
          dns_tells_all_servers_of_a_service, there_are_only_so_many_services)
