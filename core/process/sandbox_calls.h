/* The system calls of the kernel, and which of them a locked-down process may make: one table.
 *
 * Rows of one call follow each other, and the first whose condition holds decides: the call is
 * allowed when the row asks for nothing, or when the process has one of the needs that it names;
 * otherwise it is refused as the row says. A call that is in no row is refused; numbers beyond
 * those that this table knows are answered ENOSYS, as by an older kernel, so that libc falls back.
 * sandbox_filter.h makes a program for the kernel of it. */
#ifndef PILLION_PROCESS_SANDBOX_CALLS_H
#define PILLION_PROCESS_SANDBOX_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a process may do beside what all may. The first bits are PILLION_NEEDS_… of
 * <pillion/module.h>. */
enum {
    SANDBOX_ANY = 1 << 28,    /* a module that could not declare its needs: what it wants, but
                                 nothing that reaches into other processes or the system */
    SANDBOX_SYSLOG = 1 << 29, /* sockets of the log's */
    SANDBOX_TOOLS = 1 << 30,  /* what sanitizers do in the processes that they are built into */
    SANDBOX_NOBODY = 1 << 27, /* nobody has it */
};

#if defined(__SANITIZE_ADDRESS__)
#define SANDBOX_BUILT_IN SANDBOX_TOOLS
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANDBOX_BUILT_IN SANDBOX_TOOLS
#endif
#endif
#ifndef SANDBOX_BUILT_IN
#define SANDBOX_BUILT_IN 0 /* what every process of this build has */
#endif

/* A condition on the lower half of an argument. */
enum sandbox_test {
    TEST_NONE,
    TEST_IS,   /* equals `value` */
    TEST_HAS,  /* has all bits of `value` */
    TEST_SELF, /* is the process's own id */
};

struct sandbox_condition {
    uint8_t argument; /* 0 to 5 */
    uint8_t test;     /* enum sandbox_test */
    uint32_t value;
};

#define SANDBOX_CONDITIONS 2u

struct sandbox_row {
    const char *name;
    uint32_t number;
    struct sandbox_condition when[SANDBOX_CONDITIONS]; /* both have to hold */
    uint32_t needs;                                    /* one of these; 0: always allowed */
    int refusal; /* the errno of a call that is refused; 0: the process is sent SIGSYS */
};

/* By number. */
const struct sandbox_row *sandbox_rows(size_t *count);

/* Numbers above this are answered ENOSYS. */
uint32_t sandbox_last_number(void);

/* The call's first row, or NULL. */
const struct sandbox_row *sandbox_row_of(uint32_t number);

#endif
