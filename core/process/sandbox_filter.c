/* Making the filter on system calls. See sandbox_filter.h. */
#include "process/sandbox_filter.h"

#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/memory.h"
#include "process/sandbox_calls.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define X32_NUMBERS  0x40000000u /* __X32_SYSCALL_BIT */
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "name this architecture's AUDIT_ARCH_… of linux/audit.h"
#endif

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the lower half of an argument lies elsewhere"
#endif

/* A range of numbers from `first` on, up to the next one's, with one answer. */
struct range {
    uint32_t first;
    uint32_t answer;               /* SECCOMP_RET_…; with `rows`: not used */
    const struct sandbox_row *row; /* the first of the rows whose conditions decide, or NULL */
};

#define RANGES_MAX 1024u

struct making {
    struct sock_filter *program;
    unsigned size;
    uint32_t needs;
    uint32_t self;
    struct range ranges[RANGES_MAX];
    size_t range_count;
};

static void emit(struct making *making, uint16_t code, uint32_t value, uint8_t yes, uint8_t no)
{
    assert(making->size < SANDBOX_FILTER_MAX);
    making->program[making->size++] =
        (struct sock_filter){.code = code, .k = value, .jt = yes, .jf = no};
}

static uint32_t answer_of(const struct making *making, const struct sandbox_row *row)
{
    if (row->needs == 0 || (row->needs & making->needs) != 0)
        return SECCOMP_RET_ALLOW;
    return row->refusal == 0 ? SECCOMP_RET_TRAP
                             : SECCOMP_RET_ERRNO | ((uint32_t)row->refusal & SECCOMP_RET_DATA);
}

/* ---- Ranges ---- */

static void add_range(struct making *making, uint32_t first, uint32_t answer,
                      const struct sandbox_row *row)
{
    const struct range *last =
        making->range_count == 0 ? NULL : &making->ranges[making->range_count - 1];

    if (last != NULL && row == NULL && last->row == NULL && last->answer == answer)
        return;
    assert(making->range_count < RANGES_MAX);
    making->ranges[making->range_count++] =
        (struct range){.first = first, .answer = answer, .row = row};
}

/* A call whose rows all give the same answer needs no look at its arguments. */
static bool is_plain(const struct making *making, const struct sandbox_row *rows, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (answer_of(making, &rows[i]) != answer_of(making, &rows[0]))
            return false;
    }
    return true;
}

static void make_ranges(struct making *making)
{
    size_t count, same;
    const struct sandbox_row *rows = sandbox_rows(&count);
    uint32_t next = 0;

    for (size_t i = 0; i < count; i += same) {
        for (same = 1; i + same < count && rows[i + same].number == rows[i].number;)
            same++;
        if (rows[i].number > next)
            add_range(making, next, SECCOMP_RET_TRAP, NULL);
        if (is_plain(making, &rows[i], same))
            add_range(making, rows[i].number, answer_of(making, &rows[i]), NULL);
        else
            add_range(making, rows[i].number, 0, &rows[i]);
        next = rows[i].number + 1;
    }
    if (next <= sandbox_last_number())
        add_range(making, next, SECCOMP_RET_TRAP, NULL);
    add_range(making, sandbox_last_number() + 1, SECCOMP_RET_ERRNO | ENOSYS, NULL);
#ifdef X32_NUMBERS
    add_range(making, X32_NUMBERS, SECCOMP_RET_TRAP, NULL);
#endif
}

/* ---- The program ---- */

#define LOAD  (BPF_LD | BPF_W | BPF_ABS)
#define LEAVE (BPF_RET | BPF_K)

/* Each condition that does not hold jumps to the row's end, which is patched in. */
static void emit_row(struct making *making, const struct sandbox_row *row)
{
    unsigned jumps[SANDBOX_CONDITIONS], count = 0;

    for (unsigned i = 0; i < SANDBOX_CONDITIONS; i++) {
        const struct sandbox_condition *when = &row->when[i];
        if (when->test == TEST_NONE)
            continue;
        emit(making, LOAD,
             (uint32_t)(offsetof(struct seccomp_data, args) + when->argument * sizeof(uint64_t)), 0,
             0);
        if (when->test == TEST_HAS)
            emit(making, BPF_ALU | BPF_AND | BPF_K, when->value, 0, 0);
        jumps[count++] = making->size;
        emit(making, BPF_JMP | BPF_JEQ | BPF_K,
             when->test == TEST_SELF ? making->self : when->value, 0, 0);
    }
    emit(making, LEAVE, answer_of(making, row), 0, 0);
    for (unsigned i = 0; i < count; i++)
        making->program[jumps[i]].jf = (uint8_t)(making->size - jumps[i] - 1);
}

static bool has_condition(const struct sandbox_row *row)
{
    return row->when[0].test != TEST_NONE;
}

static void emit_leaf(struct making *making, const struct range *range)
{
    const struct sandbox_row *row = range->row;

    if (row == NULL) {
        emit(making, LEAVE, range->answer, 0, 0);
        return;
    }
    for (; has_condition(row); row++)
        emit_row(making, row);
    emit_row(making, row);
}

/* The accumulator holds the number until a leaf loads arguments. */
static void emit_tree(struct making *making, size_t low, size_t high)
{
    if (high - low == 1) {
        emit_leaf(making, &making->ranges[low]);
        return;
    }
    size_t middle = low + (high - low) / 2;
    /* A conditional jump reaches 255 instructions, this one any. */
    emit(making, BPF_JMP | BPF_JGE | BPF_K, making->ranges[middle].first, 0, 1);
    unsigned jump = making->size;
    emit(making, BPF_JMP | BPF_JA, 0, 0, 0);
    emit_tree(making, low, middle);
    making->program[jump].k = making->size - jump - 1;
    emit_tree(making, middle, high);
}

unsigned sandbox_filter_make(uint32_t needs, pid_t self,
                             struct sock_filter program[SANDBOX_FILTER_MAX])
{
    struct making *making = must_zalloc(sizeof(*making));

    making->program = program;
    making->needs = needs;
    making->self = (uint32_t)self;
    make_ranges(making);
    emit(making, LOAD, offsetof(struct seccomp_data, arch), 0, 0);
    emit(making, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    emit(making, LEAVE, SECCOMP_RET_TRAP, 0, 0);
    emit(making, LOAD, offsetof(struct seccomp_data, nr), 0, 0);
    emit_tree(making, 0, making->range_count);
    unsigned size = making->size;
    free(making);
    return size;
}

bool sandbox_filter_enter(uint32_t needs, struct error *error)
{
    struct sock_filter *program = must_zalloc(SANDBOX_FILTER_MAX * sizeof(*program));
    struct sock_fprog given = {.filter = program};

    given.len = (unsigned short)sandbox_filter_make(needs | SANDBOX_BUILT_IN, getpid(), program);
    /* All threads, if a library that the server is linked with has made one. What the server runs
     * in may allow the older call alone. */
    bool good =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &given) == 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &given) == 0 ||
        error_errno(error, "the kernel takes no filter on system calls (seccomp(2))");
    free(program);
    return good;
}
