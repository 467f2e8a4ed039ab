/* Log lines that requests cause. See log_seldom.h. */
#include "base/log_seldom.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>

/* More kinds of lines share the entries of the table: no number of kinds takes more memory, or more
 * lines, than this. */
#define KINDS 256u

struct kind {
    _Atomic uint64_t name;     /* a hash of format and `about`; 0: free. Never given back. */
    _Atomic uint64_t since_ns; /* when its lines were first counted; 0: never */
    _Atomic uint64_t lines;    /* lines of the kind since then */
    _Atomic uint64_t left_out; /* left-out lines that the log has not told of yet */
};

static struct kind own[KINDS], *kinds = own;

void log_seldom_with_children(void)
{
    void *memory =
        mmap(NULL, sizeof(own), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory != MAP_FAILED)
        kinds = memory;
}

static struct kind *kind_of(const char *format, const void *about)
{
    uint64_t name = ((uintptr_t)format + (uintptr_t)about * 0x100000001b3u) * 0x9e3779b97f4a7c15u;
    struct kind *first = &kinds[(name >> 32) % KINDS], *kind = first;

    do {
        uint64_t other = 0;
        if (atomic_compare_exchange_strong(&kind->name, &other, name) || other == name)
            return kind;
        kind = kind + 1 < kinds + KINDS ? kind + 1 : kinds;
    } while (kind != first);
    return first;
}

/* True when a line of the kind may be logged; it is to say that `*left_out` lines before it were
 * not. */
static bool may_log(struct kind *kind, uint64_t *left_out)
{
    uint64_t now = clock_ns(), since = atomic_load(&kind->since_ns);

    *left_out = 0;
    if ((since == 0 || now - since >= LOG_SELDOM_NS) &&
        atomic_compare_exchange_strong(&kind->since_ns, &since, now)) {
        atomic_store(&kind->lines, 1);
        *left_out = atomic_exchange(&kind->left_out, 0);
        return true;
    }
    if (atomic_fetch_add(&kind->lines, 1) < LOG_SELDOM_LINES)
        return true;
    atomic_fetch_add(&kind->left_out, 1);
    return false;
}

static void say_left_out(struct text *line, uint64_t left_out)
{
    if (left_out > 0)
        text_printf(line, " (and %llu more such lines since the last one)",
                    (unsigned long long)left_out);
}

void log_seldom_fields(enum log_level level, const void *about, const struct log_field *fields,
                       const char *message)
{
    struct text line = {0};
    uint64_t left_out;

    if (!log_enabled(level) || !may_log(kind_of(message, about), &left_out))
        return;
    text_append_string(&line, message);
    say_left_out(&line, left_out);
    log_write_fields(level, fields, text_string(&line));
    text_free(&line);
}

void log_seldom(enum log_level level, const void *about, const char *format, ...)
{
    struct text line = {0};
    uint64_t left_out;
    va_list args;

    if (!log_enabled(level) || !may_log(kind_of(format, about), &left_out))
        return;
    va_start(args, format);
    text_vprintf(&line, format, args);
    va_end(args);
    say_left_out(&line, left_out);
    log_write(level, "%s", text_string(&line));
    text_free(&line);
}
