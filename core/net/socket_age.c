/* The age of sockets. See socket_age.h. */
#include "net/socket_age.h"

#include <sys/stat.h>

#include "base/clock.h"

#define SPREAD 100u /* thousandths by which limits are less or more than max_ns */

void socket_age_begin(int fd, uint64_t id, uint64_t now)
{
    const struct timespec times[2] = {
        {.tv_sec = (time_t)id},
        {.tv_sec = (time_t)(now / NS_PER_S), .tv_nsec = (long)(now % NS_PER_S)}};

    /* Where a security policy forbids it, the next worker counts anew: the connection gets older
     * than it may, and its client is none the worse. */
    futimens(fd, times);
}

uint64_t socket_age_since(int fd, uint64_t id, uint64_t now)
{
    struct stat info;

    if (fstat(fd, &info) == 0 && (uint64_t)info.st_atim.tv_sec == id && info.st_mtim.tv_sec >= 0) {
        uint64_t since = (uint64_t)info.st_mtim.tv_sec * NS_PER_S + (uint64_t)info.st_mtim.tv_nsec;
        if (since <= now)
            return since;
    }
    socket_age_begin(fd, id, now);
    return now;
}

uint64_t socket_age_limit(uint64_t id, uint64_t max_ns)
{
    uint64_t hash = id * 0x9e3779b97f4a7c15u >> 32;

    return max_ns / 1000 * (1000 - SPREAD + hash % (2 * SPREAD + 1));
}
