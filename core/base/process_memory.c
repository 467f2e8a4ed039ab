/* Reading proc_pid_statm(5). See process_memory.h. */
#include "base/process_memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

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
