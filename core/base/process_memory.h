/* What a process uses: memory, by proc_pid_statm(5), and processor time. */
#ifndef PILLION_BASE_PROCESS_MEMORY_H
#define PILLION_BASE_PROCESS_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct process_memory {
    uint64_t resident; /* bytes in RAM, those shared with other processes among them */
    uint64_t own;      /* of them, those of no file and of no shared memory */
};

/* False when that cannot be read: there is no such process, or there are no descriptors left. */
bool process_memory(int32_t pid, struct process_memory *memory);

/* Processor time of all its threads, in nanoseconds; 0 when there is no such process. */
uint64_t process_cpu_ns(int32_t pid);

#endif
