/* How many processors this process may use: those that sched_getaffinity(2) allows, and no more
 * than its control groups give it time for (cgroups(7)): `cpu.max` of version 2, the CFS quota of
 * version 1, each of the group and of all groups above it. Part of a processor counts as one.
 *
 * Without /proc the group is taken to be the one that /sys/fs/cgroup itself shows, as in a
 * container. What cannot be read does not limit. */
#ifndef PILLION_BASE_PROCESSORS_H
#define PILLION_BASE_PROCESSORS_H

#include <stdint.h>

/* At least 1. */
uint32_t processors_usable(void);

/* The smallest quota, in processors and rounded up; 0: there is none. `own` is the file in which
 * the kernel tells a process's groups (/proc/self/cgroup), and may be missing; `root` is where they
 * are mounted (/sys/fs/cgroup). */
uint32_t processors_of_groups(const char *own, const char *root);

#endif
