/* Time. Deadlines and durations use the monotonic clock in nanoseconds; only log lines, and what
 * outlives a restart of the machine, use the wall clock. The vDSO answers both without a system
 * call (vdso(7)). */
#ifndef PILLION_BASE_CLOCK_H
#define PILLION_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

/* Nanoseconds on CLOCK_MONOTONIC. */
uint64_t clock_ns(void);

/* The same clock as it was at the kernel's last tick, up to 10 ms ago: costs a third. */
uint64_t clock_coarse_ns(void);

/* Milliseconds since 1970, which may jump: for what has to outlive a restart of the machine. */
uint64_t clock_wall_ms(void);

/* The time `ms` milliseconds after `now_ns`; UINT64_MAX, which no clock reaches, if that is beyond
 * 64 bits: modules may give any number. */
static inline uint64_t clock_after(uint64_t now_ns, uint64_t ms)
{
    return ms > (UINT64_MAX - now_ns) / NS_PER_MS ? UINT64_MAX : now_ns + ms * NS_PER_MS;
}

/* Writes "2026-01-31T12:34:56.789Z" and a NUL. `size` of at least CLOCK_TEXT_SIZE. */
#define CLOCK_TEXT_SIZE 32
void clock_text(char *out, unsigned long size);

#endif
