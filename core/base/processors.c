/* Counting processors. See processors.h. */
#include "base/processors.h"

#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What is read of one file. */
#define TEXT_MAX 4096

static bool read_text(char text[TEXT_MAX], const char *format, ...)
{
    char path[PATH_MAX];
    va_list args;

    va_start(args, format);
    int length = vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    FILE *file = length < 0 || (size_t)length >= sizeof(path) ? NULL : fopen(path, "re");
    if (file == NULL)
        return false;
    size_t size = fread(text, 1, TEXT_MAX - 1, file);
    fclose(file);
    text[size] = '\0';
    return true;
}

static uint32_t whole_processors(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    long long whole = quota / period + (quota % period != 0);
    return whole > UINT32_MAX ? UINT32_MAX : (uint32_t)whole;
}

/* The quota of one group, "max" and -1 being none. */
static uint32_t quota_of(const char *group)
{
    char text[TEXT_MAX], period_text[TEXT_MAX];
    long long quota, period;

    if (read_text(text, "%s/cpu.max", group))
        return sscanf(text, "%lld %lld", &quota, &period) == 2 ? whole_processors(quota, period)
                                                               : 0;
    if (read_text(text, "%s/cpu.cfs_quota_us", group) &&
        read_text(period_text, "%s/cpu.cfs_period_us", group) &&
        sscanf(text, "%lld", &quota) == 1 && sscanf(period_text, "%lld", &period) == 1)
        return whole_processors(quota, period);
    return 0;
}

static uint32_t smaller(uint32_t one, uint32_t other)
{
    return one == 0 || (other != 0 && other < one) ? other : one;
}

/* The smallest quota from the group `path`, which begins with "/", up to the mount's root. In a
 * container the path may be the host's, of which only the end is here, or nothing. */
static uint32_t quota_above(const char *mount, const char *path)
{
    char group[PATH_MAX];
    uint32_t least = 0;

    int length = snprintf(group, sizeof(group), "%s%s", mount, path);
    if (length < 0 || (size_t)length >= sizeof(group))
        return 0;
    for (size_t top = strlen(mount); strlen(group) > top; *strrchr(group, '/') = '\0')
        least = smaller(least, quota_of(group));
    return smaller(least, quota_of(mount));
}

/* True when `list`, of controllers with commas between, has "cpu". */
static bool has_cpu(const char *list, size_t size)
{
    for (const char *at = list; at < list + size; at++) {
        size_t length = strcspn(at, ",:");
        if (length == 3 && strncmp(at, "cpu", 3) == 0)
            return true;
        at += length;
    }
    return false;
}

/* A line of proc_pid_cgroup(5): "0::/path", or "4:cpu,cpuacct:/path". */
static uint32_t quota_of_line(const char *root, const char *line)
{
    char mount[PATH_MAX], path[PATH_MAX];
    const char *list = strchr(line, ':');
    const char *at = list == NULL ? NULL : strchr(list + 1, ':');
    uint32_t least = 0;

    if (at == NULL)
        return 0;
    size_t size = (size_t)(at - ++list);
    snprintf(path, sizeof(path), "%.*s", (int)strcspn(at + 1, "\n"), at + 1);
    if (strcmp(path, "/") == 0)
        path[0] = '\0';
    if (size == 0) {
        least = quota_above(root, path);
        snprintf(mount, sizeof(mount), "%s/unified", root);
    } else if (has_cpu(list, size)) {
        snprintf(mount, sizeof(mount), "%s/%.*s", root, (int)size, list);
        least = quota_above(mount, path);
        snprintf(mount, sizeof(mount), "%s/cpu", root);
    } else {
        return 0;
    }
    return smaller(least, quota_above(mount, path));
}

uint32_t processors_of_groups(const char *own, const char *root)
{
    char text[TEXT_MAX];
    uint32_t least = 0;

    if (!read_text(text, "%s", own))
        snprintf(text, sizeof(text), "0::/\n1:cpu:/\n");
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n")) {
        line += *line == '\n';
        least = smaller(least, quota_of_line(root, line));
    }
    return least;
}

uint32_t processors_usable(void)
{
    cpu_set_t set;

    /* Fails on machines with more than CPU_SETSIZE processors, sched_getaffinity(2). */
    long count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set)
                                                              : sysconf(_SC_NPROCESSORS_ONLN);
    return smaller(count < 1 ? 1 : (uint32_t)count,
                   processors_of_groups("/proc/self/cgroup", "/sys/fs/cgroup"));
}
