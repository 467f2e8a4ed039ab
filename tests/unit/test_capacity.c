/* How many clients a configuration can have: core/process/capacity.h. */
#include "unit.h"

#include <string.h>

#include "conf/settings.h"
#include "process/capacity.h"

static struct capacity capacity;

static struct capacity_plan plan_of(uint32_t workers, uint32_t connections, uint32_t vaults,
                                    uint64_t files)
{
    struct capacity_plan plan = {.workers = workers,
                                 .connections = connections,
                                 .vaults = vaults,
                                 .descriptors = 3,
                                 .worker_files = files,
                                 .vault_files = files,
                                 .master_files = files};
    capacity_find(&plan, &capacity);
    return plan;
}

static void expect_advice(const struct capacity_plan *plan, uint64_t files_max, const char *part)
{
    struct text text = {0};

    capacity_explain(plan, &capacity, files_max, &text);
    if (part == NULL)
        ck_assert_str_eq(text_string(&text), "");
    else
        ck_assert_msg(strstr(text_string(&text), part) != NULL, "%s", text_string(&text));
    text_free(&text);
}

START_TEST(one_vault_is_enough_where_all_fits)
{
    struct capacity_plan plan = plan_of(2, 5000, 0, 20000);

    ck_assert_uint_eq(capacity.vaults, 1);
    ck_assert_uint_eq(capacity.connections, 5000);
    expect_advice(&plan, 1000000, NULL);
}
END_TEST

START_TEST(vaults_are_as_many_as_the_connections_need)
{
    for (uint32_t workers = 1; workers <= WORKER_PROCESSES_MAX; workers *= 2) {
        for (uint32_t connections = 10; connections <= 1000000; connections *= 10) {
            struct capacity_plan plan = plan_of(workers, connections, 0, 20000);
            uint64_t held = (uint64_t)capacity.share * capacity.vaults;
            ck_assert_uint_le(capacity.connections, connections);
            ck_assert_uint_le(capacity.connections, capacity.worker_room);
            ck_assert_uint_le(capacity.connections, held);
            ck_assert_uint_le((uint64_t)capacity.share * workers, capacity.vault_room);
            if (connections < 19000 && capacity.vaults < VAULT_PROCESSES_MAX) {
                ck_assert_uint_eq(capacity.connections, connections);
                expect_advice(&plan, 0, NULL);
            }
            if (capacity.vaults > 1) /* one less would not do */
                ck_assert_uint_lt((uint64_t)capacity.share * (capacity.vaults - 1),
                                  capacity.connections);
        }
    }
}
END_TEST

START_TEST(a_million_clients_are_a_configuration)
{
    struct capacity_plan plan = plan_of(64, 15700, 0, 20000);

    ck_assert_uint_ge((uint64_t)capacity.connections * plan.workers, 1000000);
    expect_advice(&plan, 2000000, NULL);
    plan = plan_of(16, 62500, 0, 1048576);
    ck_assert_uint_eq(capacity.vaults, 1);
    expect_advice(&plan, 2000000, NULL);
}
END_TEST

START_TEST(the_limit_that_is_too_low_is_named)
{
    struct capacity_plan plan = plan_of(4, 30000, 0, 20000);
    expect_advice(&plan, 0, "worker_connections is 30000, but a worker has descriptors for 199");

    plan = plan_of(4, 10000, 1, 20000);
    expect_advice(&plan, 0, "4 workers with 10000 clients each are 40000, but 1 vault of 197");
    ck_assert_uint_eq(capacity.connections, capacity.share);

    plan = plan_of(4, 10000, 0, 20000);
    expect_advice(&plan, 30000, "raise fs.file-max");

    plan = plan_of(100, 10, 0, 200);
    expect_advice(&plan, 0, "a reload has two generations of 100 workers at once");
}
END_TEST

START_TEST(the_smallest_limits_leave_something)
{
    plan_of(2, 1000, 0, 64);
    ck_assert_uint_ge(capacity.connections, 1);
    plan_of(128, 1000, 1, 64);
    ck_assert_uint_ge(capacity.connections, 1);
}
END_TEST

UNIT_MAIN("capacity", one_vault_is_enough_where_all_fits,
          vaults_are_as_many_as_the_connections_need, a_million_clients_are_a_configuration,
          the_limit_that_is_too_low_is_named, the_smallest_limits_leave_something)
