/* Limits of control groups on processors: core/base/processors.h. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/processors.h"

static char root[32];

/* Writes ROOT/`path`, and makes the directories on the way. */
static void put(const char *path, const char *text)
{
    char full[256];

    snprintf(full, sizeof(full), "%s/%s", root, path);
    for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(full, 0755);
        *at = '/';
    }
    FILE *file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void begin(void)
{
    strcpy(root, "/tmp/pillion-groups-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void end(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -r %s", root);
    ck_assert_int_eq(system(command), 0);
}

static uint32_t limit(void)
{
    char own[64];

    snprintf(own, sizeof(own), "%s/own", root);
    return processors_of_groups(own, root);
}

START_TEST(without_groups_nothing_limits)
{
    begin();
    ck_assert_uint_eq(limit(), 0);
    put("own", "");
    ck_assert_uint_eq(limit(), 0);
    put("own", "0::/here\nnonsense\n1:\n");
    ck_assert_uint_eq(limit(), 0);
    put("here/cpu.max", "max 100000\n");
    ck_assert_uint_eq(limit(), 0);
    put("here/cpu.max", "nonsense");
    ck_assert_uint_eq(limit(), 0);
    put("here/cpu.max", "100000 0\n");
    ck_assert_uint_eq(limit(), 0);
    ck_assert_uint_ge(processors_usable(), 1);
    end();
}
END_TEST

START_TEST(a_quota_is_rounded_up)
{
    begin();
    put("own", "0::/here\n");
    put("here/cpu.max", "200000 100000\n");
    ck_assert_uint_eq(limit(), 2);
    put("here/cpu.max", "200001 100000\n");
    ck_assert_uint_eq(limit(), 3);
    put("here/cpu.max", "1000 100000\n");
    ck_assert_uint_eq(limit(), 1);
    end();
}
END_TEST

START_TEST(the_smallest_of_nested_groups_limits)
{
    begin();
    put("own", "0::/a/b/c\n");
    put("a/b/c/cpu.max", "400000 100000\n");
    put("a/b/cpu.max", "max 100000\n");
    put("a/cpu.max", "150000 100000\n");
    ck_assert_uint_eq(limit(), 2);
    put("cpu.max", "50000 100000\n"); /* as a container sees its own */
    ck_assert_uint_eq(limit(), 1);
    end();
}
END_TEST

START_TEST(a_group_of_the_host_is_the_containers_root)
{
    begin();
    put("own", "0::/system.slice/docker-0123.scope\n");
    put("cpu.max", "300000 100000\n");
    ck_assert_uint_eq(limit(), 3);
    end();
}
END_TEST

START_TEST(without_proc_the_root_is_the_group)
{
    begin();
    put("cpu.max", "300000 100000\n");
    ck_assert_uint_eq(limit(), 3);
    end();
}
END_TEST

START_TEST(version_one_has_a_quota_and_a_period)
{
    begin();
    put("own", "9:cpuset:/here\n4:cpu,cpuacct:/here\n");
    put("cpuset/here/cpu.cfs_quota_us", "100000\n");
    put("cpuset/here/cpu.cfs_period_us", "100000\n");
    ck_assert_uint_eq(limit(), 0);
    put("cpu,cpuacct/here/cpu.cfs_quota_us", "-1\n");
    put("cpu,cpuacct/here/cpu.cfs_period_us", "100000\n");
    ck_assert_uint_eq(limit(), 0);
    put("cpu,cpuacct/here/cpu.cfs_quota_us", "250000\n");
    ck_assert_uint_eq(limit(), 3);
    put("own", "4:cpuacct,cpu:/there\n"); /* mounted by another name */
    put("cpu/there/cpu.cfs_quota_us", "40000\n");
    put("cpu/there/cpu.cfs_period_us", "20000\n");
    ck_assert_uint_eq(limit(), 2);
    end();
}
END_TEST

UNIT_MAIN("processors", without_groups_nothing_limits, a_quota_is_rounded_up,
          the_smallest_of_nested_groups_limits, a_group_of_the_host_is_the_containers_root,
          without_proc_the_root_is_the_group, version_one_has_a_quota_and_a_period)
