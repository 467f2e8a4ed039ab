/* Reading proc_pid_statm(5) and a process's clock. See process_memory.h. */
#include "base/process_memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

bool process_memory(int32_t pid, struct process_memory *memory)
{
    unsigned long long resident, shared;
    char path[40], text[128];

    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t size = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (size <= 0)
        return false;
    text[size] = '\0';
    if (sscanf(text, "%*s %llu %llu", &resident, &shared) != 2)
        return false;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *memory = (struct process_memory){
        .resident = resident * page,
        .own = resident > shared ? (resident - shared) * page : 0,
    };
    return true;
}

uint64_t process_cpu_ns(int32_t pid)
{
    struct timespec used;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) < 0)
        return 0;
    return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}
