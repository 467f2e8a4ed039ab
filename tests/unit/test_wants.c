/* Which services the registry process is told of: see core/master/wants.h. The generations and
 * workers that live are the test's (tests.mk wraps what gives them). */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/service_name.h"
#include "master/generations.h"
#include "master/registry.h"
#include "master/wants.h"
#include "master/workers.h"

static struct generation generations[4] = {{.number = 1}, {.number = 2}, {.number = 3}};
static struct generation *current, *next;
static struct worker worker;
static bool has_worker;

struct generation *__wrap_generation_current(void);
struct generation *__wrap_generation_current(void)
{
    return current;
}

struct generation *__wrap_generation_next(void);
struct generation *__wrap_generation_next(void)
{
    return next;
}

struct worker *__wrap_workers_first(void);
struct worker *__wrap_workers_first(void)
{
    return has_worker ? &worker : NULL;
}

static char told[8192]; /* the services, with spaces between them */
static unsigned times;

void __wrap_registry_wants(const char *const *services, size_t count);
void __wrap_registry_wants(const char *const *services, size_t count)
{
    told[0] = '\0';
    for (size_t i = 0; i < count; i++)
        snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s%s", i > 0 ? " " : "",
                 services[i]);
    times++;
}

START_TEST(each_change_is_told_once)
{
    wants_add(1, "registry:/a");
    ck_assert_str_eq(told, "registry:/a");
    wants_add(1, "registry:/a");
    ck_assert_uint_eq(times, 1);
    wants_add(1, "srv:b.example");
    ck_assert_str_eq(told, "registry:/a srv:b.example");
    wants_add(2, "registry:/a");
    ck_assert_str_eq(told, "registry:/a srv:b.example");
}
END_TEST

START_TEST(a_service_is_forgotten_with_the_last_generation_that_wants_it)
{
    current = &generations[0];
    wants_add(1, "registry:/a");
    wants_add(1, "registry:/both");
    next = &generations[1];
    wants_add(2, "registry:/both");
    wants_add(2, "registry:/c");
    wants_sweep();
    ck_assert_str_eq(told, "registry:/a registry:/both registry:/c");

    current = next, next = NULL;
    worker.generation = &generations[0];
    has_worker = true;
    wants_sweep(); /* its workers still answer */
    ck_assert_str_eq(told, "registry:/a registry:/both registry:/c");
    has_worker = false;
    wants_sweep();
    ck_assert_str_eq(told, "registry:/both registry:/c");
    unsigned before = times;
    wants_sweep();
    ck_assert_uint_eq(times, before);

    next = &generations[2]; /* which is not put to use */
    wants_add(3, "registry:/d");
    next = NULL;
    wants_sweep();
    ck_assert_str_eq(told, "registry:/both registry:/c");
}
END_TEST

START_TEST(what_a_damaged_worker_sends_is_told_nobody)
{
    char text[400];

    memset(text, 'x', sizeof(text));
    memcpy(text, "registry:/", 10);
    text[sizeof(text) - 1] = '\0';
    wants_add(1, text);
    wants_add(1, "");
    wants_add(1, "127.0.0.1:80");
    ck_assert_uint_eq(times, 0);
    for (int i = 0; i < 3000; i++) {
        snprintf(text, sizeof(text), "registry:/%d", i);
        wants_add(1, text);
    }
    const char *end = strrchr(told, ' ');
    ck_assert_str_eq(end, " registry:/127");
}
END_TEST

START_TEST(a_generation_that_wants_too_many_takes_no_room_from_the_next)
{
    char text[40];

    current = &generations[0];
    wants_add(1, "registry:/");
    for (uint64_t generation = 1; generation <= 2; generation++) {
        for (int i = 0; i < 3000; i++) {
            snprintf(text, sizeof(text), "registry:/%d", i);
            wants_add(generation, text);
        }
    }
    next = &generations[2];
    wants_add(3, "registry:/");
    current = next, next = NULL;
    wants_sweep();
    ck_assert_str_eq(told, "registry:/");
}
END_TEST

/* Whose former services and those of the next are too many together. */
START_TEST(the_generation_that_serves_comes_first)
{
    char text[40];

    current = &generations[0];
    next = &generations[1];
    for (int i = 0; i < 128; i++) {
        snprintf(text, sizeof(text), "registry:/%d", i);
        wants_add(1, text);
    }
    wants_add(2, "registry:/other");
    ck_assert_ptr_null(strstr(told, "other")); /* it may yet fail */
    current = next, next = NULL;
    worker.generation = &generations[0];
    has_worker = true;
    wants_serve();
    ck_assert_int_eq(strncmp(told, "registry:/other ", 16), 0);
    ck_assert_ptr_nonnull(strstr(told, "/126"));
    ck_assert_ptr_null(strstr(told, "/127"));
}
END_TEST

START_TEST(an_upgrade_hands_them_to_the_generation_that_serves)
{
    cJSON *state = cJSON_CreateObject();

    current = &generations[1];
    wants_add(1, "registry:/a");
    wants_add(2, "registry:/b");
    wants_add(2, "registry:/a");
    wants_write(state);
    current = &generations[2]; /* what wanted them here is gone: as in a new process */
    wants_sweep();
    ck_assert_str_eq(told, "");
    wants_read(state);
    ck_assert_str_eq(told, "registry:/b registry:/a");
    cJSON_Delete(state);
    state = cJSON_CreateObject(); /* of a binary that knew no services */
    wants_read(state);
    wants_sweep();
    ck_assert_str_eq(told, "registry:/b registry:/a");
    cJSON_Delete(state);
}
END_TEST

START_TEST(names_of_services_are_checked)
{
    static const struct {
        const char *text, *wrong; /* NULL: it is right */
    } texts[] = {
        {"registry:/pillion/shop", NULL},
        {"registry:/pillion/", NULL},
        {"registry:/", NULL},
        {"srv:_pillion._tcp.shop.example", NULL},
        {"srv:_pillion._tcp.shop.example.", NULL},
        {"registry:", "write a path behind"},
        {"registry:pillion", "write a path behind"},
        {"registry:/a//b", "empty part"},
        {"registry:/a b", "the 12. one"},
        {"registry:/\xc3\xa9", "the 11. one"},
        {"srv:", "write a name of DNS"},
        {"srv:a..b", "no name of DNS"},
        {"srv:.a", "no name of DNS"},
        {"srv:a b", "no name of DNS"},
        {"srv:0123456789012345678901234567890123456789012345678901234567890123", "no name of DNS"},
        {"10.0.0.1:80", "names no service"},
    };
    struct error error;

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        bool good = service_name_check(texts[i].text, &error);
        ck_assert_msg(good == (texts[i].wrong == NULL), "%s", texts[i].text);
        ck_assert_msg(good || strstr(error.text, texts[i].wrong) != NULL, "%s", error.text);
    }
    ck_assert(service_name_is("registry:nonsense"));
    ck_assert(!service_name_is("registry.example:80"));
    ck_assert(!service_name_is_registered("srv:a"));
}
END_TEST

UNIT_MAIN("wants", each_change_is_told_once,
          a_service_is_forgotten_with_the_last_generation_that_wants_it,
          what_a_damaged_worker_sends_is_told_nobody,
          a_generation_that_wants_too_many_takes_no_room_from_the_next,
          the_generation_that_serves_comes_first,
          an_upgrade_hands_them_to_the_generation_that_serves, names_of_services_are_checked)
