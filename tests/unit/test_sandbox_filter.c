/* The filter on system calls, run by an interpreter of classic BPF: each number gets the answer
 * that the table's rows give, whatever tree they were made into. */
#include "process/sandbox_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <pillion/module.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "process/sandbox_calls.h"
#include "unit.h"

#ifdef __x86_64__
#define NATIVE AUDIT_ARCH_X86_64
#else
#define NATIVE AUDIT_ARCH_AARCH64
#endif

#define OWN_PID 4711

/* Executes the instructions that the filter consists of; any other one fails the test. */
static uint32_t run(const struct sock_filter *program, unsigned size,
                    const struct seccomp_data *data, unsigned *steps)
{
    uint32_t accumulator = 0;

    for (unsigned at = 0; at < size; at++, (*steps)++) {
        const struct sock_filter *i = &program[at];
        bool holds =
            i->code == (BPF_JMP | BPF_JGE | BPF_K) ? accumulator >= i->k : accumulator == i->k;
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            ck_assert_uint_le(i->k, sizeof(*data) - sizeof(accumulator));
            memcpy(&accumulator, (const char *)data + i->k, sizeof(accumulator));
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            accumulator &= i->k;
            break;
        case BPF_JMP | BPF_JA:
            at += i->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
        case BPF_JMP | BPF_JGE | BPF_K:
            at += holds ? i->jt : i->jf;
            break;
        case BPF_RET | BPF_K:
            return i->k;
        default:
            ck_abort_msg("instruction %u is unknown: %#x", at, i->code);
        }
    }
    ck_abort_msg("the program does not end");
}

static uint32_t answer(uint32_t needs, uint32_t architecture, uint32_t number, uint64_t first,
                       uint64_t second)
{
    static struct sock_filter program[SANDBOX_FILTER_MAX];
    unsigned size = sandbox_filter_make(needs, OWN_PID, program), steps = 0;
    struct seccomp_data data = {
        .nr = (int)number, .arch = architecture, .args = {first, second, 99, 99, 99, 99}};

    uint32_t got = run(program, size, &data, &steps);
    ck_assert_uint_lt(steps, 60);
    return got;
}

/* The table's own answer, row by row. */
static uint32_t expected(uint32_t needs, uint32_t number, uint64_t first, uint64_t second)
{
    const uint64_t arguments[] = {first, second};

    for (const struct sandbox_row *row = sandbox_row_of(number);
         row != NULL && row->number == number; row++) {
        bool holds = true;
        for (unsigned i = 0; i < SANDBOX_CONDITIONS; i++) {
            const struct sandbox_condition *when = &row->when[i];
            uint32_t low = when->argument < 2 ? (uint32_t)arguments[when->argument] : 99;
            holds = holds &&
                    (when->test == TEST_NONE || (when->test == TEST_IS && low == when->value) ||
                     (when->test == TEST_HAS && (low & when->value) == when->value) ||
                     (when->test == TEST_SELF && low == OWN_PID));
        }
        if (!holds)
            continue;
        if (row->needs == 0 || (row->needs & needs) != 0)
            return SECCOMP_RET_ALLOW;
        return row->refusal == 0 ? SECCOMP_RET_TRAP : SECCOMP_RET_ERRNO | (uint32_t)row->refusal;
    }
    return number > sandbox_last_number() ? SECCOMP_RET_ERRNO | ENOSYS : SECCOMP_RET_TRAP;
}

static const uint32_t all_needs[] = {0,
                                     PILLION_NEEDS_NETWORK,
                                     PILLION_NEEDS_FILES,
                                     PILLION_NEEDS_PROCESSES,
                                     SANDBOX_SYSLOG,
                                     SANDBOX_TOOLS,
                                     PILLION_NEEDS_NETWORK | PILLION_NEEDS_FILES |
                                         PILLION_NEEDS_PROCESSES | SANDBOX_ANY};

START_TEST(every_call_gets_its_rows_answer)
{
    static const uint64_t values[] = {0,
                                      1,
                                      2,
                                      3,
                                      OWN_PID,
                                      0xffffffffu,
                                      AF_NETLINK,
                                      CLONE_THREAD | CLONE_VM,
                                      1 | (uint64_t)1 << 32};

    for (size_t n = 0; n < sizeof(all_needs) / sizeof(*all_needs); n++) {
        for (uint32_t number = 0; number < 520; number++) {
            for (size_t a = 0; a < sizeof(values) / sizeof(*values); a++) {
                uint64_t other = values[(a + n) % 9];
                ck_assert_msg(answer(all_needs[n], NATIVE, number, values[a], other) ==
                                  expected(all_needs[n], number, values[a], other),
                              "call %u with needs %#x and %#llx", number, all_needs[n],
                              (unsigned long long)values[a]);
            }
        }
    }
}
END_TEST

START_TEST(every_call_has_a_last_word)
{
    size_t count;
    const struct sandbox_row *rows = sandbox_rows(&count);

    for (size_t i = 0; i < count; i++) {
        bool is_last = i + 1 == count || rows[i + 1].number != rows[i].number;
        ck_assert_msg(is_last == (rows[i].when[0].test == TEST_NONE), "the rows of %s",
                      rows[i].name);
        ck_assert_msg(i == 0 || rows[i - 1].number <= rows[i].number, "%s", rows[i].name);
        ck_assert_msg(rows[i].number <= sandbox_last_number(), "%s", rows[i].name);
    }
}
END_TEST

START_TEST(other_architectures_are_refused)
{
    ck_assert_uint_eq(answer(0, AUDIT_ARCH_I386, SYS_read, 0, 0), SECCOMP_RET_TRAP);
    ck_assert_uint_eq(answer(~0u, AUDIT_ARCH_ARM, SYS_read, 0, 0), SECCOMP_RET_TRAP);
#ifdef __x86_64__
    ck_assert_uint_eq(answer(~0u, NATIVE, 0x40000000u | SYS_read, 0, 0), SECCOMP_RET_TRAP);
    ck_assert_uint_eq(answer(~0u, NATIVE, 0xffffffffu, 0, 0), SECCOMP_RET_TRAP);
#endif
    ck_assert_uint_eq(answer(0, NATIVE, SYS_read, 0, 0), SECCOMP_RET_ALLOW);
}
END_TEST

/* What would make all of it worthless if a row were wrong. */
START_TEST(the_doors_are_shut)
{
    static const uint32_t never[] = {SYS_process_vm_readv,
                                     SYS_process_vm_writev,
                                     SYS_pidfd_getfd,
                                     SYS_mount,
                                     SYS_unshare,
                                     SYS_setns,
                                     SYS_bpf,
                                     SYS_init_module,
                                     SYS_kexec_load,
                                     SYS_userfaultfd,
                                     SYS_open_by_handle_at,
                                     SYS_keyctl};
    static const uint32_t needs = PILLION_NEEDS_NETWORK | PILLION_NEEDS_FILES |
                                  PILLION_NEEDS_PROCESSES | SANDBOX_ANY | SANDBOX_SYSLOG;

    for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
        ck_assert_uint_eq(answer(needs, NATIVE, never[i], 0, 0), SECCOMP_RET_TRAP);
    ck_assert_uint_eq(answer(needs, NATIVE, SYS_ptrace, 16, 1), SECCOMP_RET_TRAP);
    ck_assert_uint_eq(answer(needs, NATIVE, SYS_clone, CLONE_NEWUSER | SIGCHLD, 0),
                      SECCOMP_RET_TRAP);
    ck_assert_uint_eq(answer(0, NATIVE, SYS_clone, SIGCHLD, 0), SECCOMP_RET_TRAP);
    ck_assert_uint_eq(answer(0, NATIVE, SYS_clone, CLONE_THREAD | CLONE_VM, 0), SECCOMP_RET_ALLOW);
    ck_assert_uint_eq(answer(0, NATIVE, SYS_kill, 1, SIGKILL), SECCOMP_RET_TRAP);
    ck_assert_uint_eq(answer(0, NATIVE, SYS_kill, 0xffffffffu, SIGKILL), SECCOMP_RET_TRAP);
    ck_assert_uint_eq(answer(0, NATIVE, SYS_kill, 1, 0), SECCOMP_RET_ALLOW);
    ck_assert_uint_eq(answer(0, NATIVE, SYS_kill, OWN_PID, SIGKILL), SECCOMP_RET_ALLOW);
    ck_assert_uint_eq(answer(SANDBOX_SYSLOG, NATIVE, SYS_socket, AF_INET, 0), SECCOMP_RET_TRAP);
    ck_assert_uint_eq(answer(SANDBOX_SYSLOG, NATIVE, SYS_socket, AF_UNIX, 0), SECCOMP_RET_ALLOW);
    ck_assert_uint_eq(answer(needs, NATIVE, SYS_prlimit64, 1, RLIMIT_NOFILE),
                      SECCOMP_RET_ERRNO | EPERM);
    ck_assert_uint_eq(answer(0, NATIVE, SYS_clone3, 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
    ck_assert_uint_eq(answer(0, NATIVE, sandbox_last_number() + 1, 0, 0),
                      SECCOMP_RET_ERRNO | ENOSYS);
}
END_TEST

UNIT_MAIN("sandbox_filter", every_call_gets_its_rows_answer, every_call_has_a_last_word,
          other_architectures_are_refused, the_doors_are_shut)
