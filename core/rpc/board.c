/* The board. See board.h. */
#include "rpc/board.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"

static int board_fd = -1;
static int board_reading_fd = -1; /* the same file, opened for reading only */

int board_descriptor(void)
{
    return board_fd;
}

/* Opened by the master: its children may have no descriptor left. -1 without /proc, of which the
 * configuration's check tells: then only good faith keeps a child from writing. */
static int open_for_reading(int fd)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static struct board *board_map(int fd, struct error *error)
{
    void *memory =
        mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (memory == MAP_FAILED) {
        error_errno(error, "cannot map the memory that the server's processes share");
        return NULL;
    }
    int reading = open_for_reading(fd);
    if (reading < 0 && errno != ENOENT) {
        error_errno(error, "cannot open the memory that the server's processes share");
        munmap(memory, sizeof(struct board));
        return NULL;
    }
    if (board_reading_fd >= 0)
        close(board_reading_fd);
    board_reading_fd = reading;
    /* Most of it has no pages: a core dump would give it some. */
    madvise(memory, sizeof(struct board), MADV_DONTDUMP);
    board_fd = fd;
    return memory;
}

static void board_begin(struct board *board)
{
    board->layout = BOARD_LAYOUT;
    board->size = sizeof(struct board);
    board->started_ns = clock_ns();
    board->started_at_ms = clock_wall_ms();
    if (getrandom(&board->secret, sizeof(board->secret), GRND_NONBLOCK) < 0)
        board->secret = clock_ns() * (uint64_t)getpid();
}

struct board *board_new(struct error *error)
{
    int fd = memfd_create("pillion board", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, sizeof(struct board)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        error_errno(error, "cannot make the memory that the server's processes share");
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    struct board *board = board_map(fd, error);
    if (board == NULL) {
        close(fd);
        return NULL;
    }
    board_begin(board);
    return board;
}

void board_reset(struct board *board)
{
    madvise(board, sizeof(*board), MADV_REMOVE); /* zeroes, without pages for them */
    board_begin(board);
}

struct board *board_resume(int fd, bool *anew, struct error *error)
{
    uint32_t head[2] = {0, 0};

    *anew = false;
    ssize_t got = fd < 0 ? 0 : pread(fd, head, sizeof(head), 0);
    if (got < 0) {
        error_errno(error, "cannot read the memory that the server's processes share");
        return NULL;
    }
    if (got == (ssize_t)sizeof(head) && head[0] == BOARD_LAYOUT && head[1] == sizeof(struct board))
        return board_map(fd, error);
    if (fd >= 0)
        close(fd);
    *anew = true;
    return board_new(error);
}

/* Replaces the mapping at `where`. */
static bool map_again(void *where, size_t size, int protection, int fd, off_t at)
{
    return mmap(where, size, protection, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, at) == where &&
           madvise(where, size, MADV_DONTDUMP) == 0;
}

/* `own`, of `size` bytes, is mapped a second time. */
static bool enter(struct board *board, void **own, size_t size, struct error *error)
{
    static const char failed[] = "cannot protect the memory that the server's processes share";

    if (*own != NULL) {
        off_t at = (off_t)((const char *)*own - (const char *)board);
        *own = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, board_fd, at);
        if (*own == MAP_FAILED || madvise(*own, size, MADV_DONTDUMP) < 0)
            return error_errno(error, "%s", failed);
    }
    int fd = board_reading_fd >= 0 ? board_reading_fd : board_fd;
    return map_again(board, sizeof(*board), PROT_READ, fd, 0) || error_errno(error, "%s", failed);
}

bool board_enter(struct board *board, struct board_row **row, struct error *error)
{
    void *own = row == NULL ? NULL : *row;

    if (!enter(board, &own, sizeof(**row), error))
        return false;
    if (row != NULL)
        *row = own;
    return true;
}

bool board_enter_gate(struct board *board, struct board_gate **gate, struct error *error)
{
    static struct board_gate unseen;
    void *own = *gate;

    if (!enter(board, &own, sizeof(**gate), error))
        return false;
    *gate = own == NULL ? &unseen : own;
    return true;
}

typedef char board_name[BOARD_NAME_MAX];

static uint32_t find_name(const board_name *names, uint32_t count, struct bytes name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (bytes_equal(bytes_of(names[i]), name))
            return i;
    }
    return UINT32_MAX;
}

/* The next index, its name set and not yet to be seen; or UINT32_MAX when all `most` are used up.
 */
static uint32_t new_name(board_name *names, const _Atomic uint32_t *count, uint32_t most,
                         const char *name)
{
    uint32_t index = atomic_load_explicit(count, memory_order_relaxed);

    if (index >= most || strlen(name) >= BOARD_NAME_MAX)
        return UINT32_MAX;
    memcpy(names[index], name, strlen(name) + 1);
    return index;
}

uint32_t board_methods_known(const struct board *board)
{
    return atomic_load_explicit(&board->method_count, memory_order_acquire);
}

uint32_t board_find_method(const struct board *board, struct bytes name)
{
    return find_name(board->names, board_methods_known(board), name);
}

/* Of the server alone. */
static uint32_t find_own(const struct board *board, const char *server, struct bytes name)
{
    for (uint32_t i = 0; i < board_methods_known(board); i++) {
        if (bytes_equal(bytes_of(board->names[i]), name) &&
            strncmp(board->servers[i], server, BOARD_SERVER_MAX - 1) == 0)
            return i;
    }
    return BOARD_NO_METHOD;
}

uint32_t board_find_server_method(const struct board *board, const char *server, struct bytes name)
{
    uint32_t index = find_own(board, server, name);

    return index != BOARD_NO_METHOD ? index : board_find_method(board, name);
}

const char *board_server(const struct server_settings *settings)
{
    return settings->listens == NULL ? "" : settings->listens->address;
}

uint32_t board_add_server_method(struct board *board, const char *server, const char *name)
{
    uint32_t index = find_own(board, server, bytes_of(name));

    if (index != BOARD_NO_METHOD)
        return index;
    index = new_name(board->names, &board->method_count, BOARD_METHODS_MAX, name);
    if (index == BOARD_NO_METHOD)
        return board_find_method(board, bytes_of(name));
    snprintf(board->servers[index], BOARD_SERVER_MAX, "%s", server);
    atomic_store_explicit(&board->method_count, index + 1, memory_order_release);
    return index;
}

uint32_t board_add_method(struct board *board, const char *name)
{
    uint32_t index = board_find_method(board, bytes_of(name));

    return index != BOARD_NO_METHOD ? index : board_add_server_method(board, "", name);
}

uint32_t board_next_of_name(const struct board *board, uint32_t index)
{
    for (uint32_t i = index + 1; i < board_methods_known(board); i++) {
        if (strcmp(board->names[i], board->names[index]) == 0)
            return i;
    }
    return BOARD_NO_METHOD;
}

bool board_first_of_name(const struct board *board, uint32_t index)
{
    return board_find_method(board, bytes_of(board->names[index])) == index;
}

void board_forget_methods(struct board *board, uint32_t known)
{
    if (known < board_methods_known(board))
        atomic_store_explicit(&board->method_count, known, memory_order_release);
}

uint32_t board_metrics_known(const struct board *board)
{
    return atomic_load_explicit(&board->metric_count, memory_order_acquire);
}

uint32_t board_find_metric(const struct board *board, struct bytes name)
{
    return find_name(board->metric_names, board_metrics_known(board), name);
}

uint32_t board_add_metric(struct board *board, const char *name, enum board_metric_kind kind)
{
    uint32_t index = board_find_metric(board, bytes_of(name));

    if (index != BOARD_NO_METRIC)
        return index;
    index = new_name(board->metric_names, &board->metric_count, BOARD_METRICS_MAX, name);
    if (index == BOARD_NO_METRIC)
        return index;
    board->metric_kind[index] = (uint8_t)kind;
    atomic_store_explicit(&board->metric_count, index + 1, memory_order_release);
    return index;
}

/* ---- Rows ---- */

/* Zeroes the members that may have been used: pages that never were stay untouched. */
static void row_clear(const struct board *board, struct board_row *row)
{
    memset(row, 0, offsetof(struct board_row, methods));
    memset(row->methods, 0, board_methods_known(board) * sizeof(row->methods[0]));
    memset(row->metrics, 0, board_metrics_known(board) * sizeof(row->metrics[0]));
    if (row->crowd.used != 0)
        madvise(&row->crowd, sizeof(row->crowd), MADV_REMOVE); /* zeroes */
}

struct board_head *board_head(struct board *board, const struct board_row *row)
{
    return &board->heads[row - board->rows];
}

struct board_row *board_take_row(struct board *board, uint32_t slot, uint64_t generation)
{
    for (uint32_t i = 0; i < BOARD_ROWS_MAX; i++) {
        struct board_head *head = &board->heads[i];
        if (atomic_load(&head->state) != ROW_FREE)
            continue;
        row_clear(board, &board->rows[i]);
        fold_release(&board->fold, i);
        head->since_ns = clock_ns();
        head->state_since_ns = head->since_ns;
        head->lag_ns = 0;
        atomic_store(&head->pid, 0);
        atomic_store(&head->slot, slot);
        atomic_store(&head->generation, generation);
        atomic_store(&head->state, ROW_STARTING);
        if (i >= atomic_load(&board->row_high))
            atomic_store(&board->row_high, i + 1);
        return &board->rows[i];
    }
    return NULL;
}

/* The rows that are in use, and not in the totals, one after the other: `i` begins at 0. NULL after
 * the last. */
static const struct board_row *next_row(const struct board *board, uint64_t seen, uint32_t *i)
{
    while (*i < atomic_load_explicit(&board->row_high, memory_order_relaxed)) {
        uint32_t at = (*i)++;
        if (atomic_load_explicit(&board->heads[at].state, memory_order_relaxed) != ROW_FREE &&
            !fold_has(seen, at))
            return &board->rows[at];
    }
    return NULL;
}

/* ---- Sums ---- */

/* The most that a worker can have counted: bytes and events by the nanosecond, and the time of
 * requests that wait side by side. */
#define COUNTS_A_NS  128u
#define SIDE_BY_SIDE 65536u
#define CREDIT_NS    NS_PER_S /* for a row that was just taken */

/* A worker's counters on their way into a sum. */
struct tally {
    uint64_t lived_ns;
    uint32_t damaged; /* counters that were left out */
};

static struct tally tally_of(const struct board *board, const struct board_row *row)
{
    const struct board_head *head = &board->heads[row - board->rows];
    return (struct tally){.lived_ns = clock_ns() - head->since_ns + CREDIT_NS};
}

static uint64_t credible(struct tally *tally, const counter *from, uint64_t most_a_ns)
{
    uint64_t value = counter_read(from);

    if (value / most_a_ns <= tally->lived_ns)
        return value;
    tally->damaged++;
    return 0;
}

static void method_add(struct tally *tally, struct method_counters *sum,
                       const struct method_counters *more)
{
    if (counter_read(&more->calls) == 0)
        return;
    counter_add(&sum->calls, credible(tally, &more->calls, COUNTS_A_NS));
    for (uint32_t e = 0; e < ERROR_CODES_MAX; e++)
        counter_add(&sum->failures[e], credible(tally, &more->failures[e], COUNTS_A_NS));
    counter_add(&sum->total_ns, credible(tally, &more->total_ns, SIDE_BY_SIDE));
    for (uint32_t b = 0; b < LATENCY_BUCKETS; b++)
        counter_add(&sum->latency[b], credible(tally, &more->latency[b], COUNTS_A_NS));
}

/* What is no number is a worker's damage. */
static double real_of(const struct board_row *row, uint32_t index)
{
    double real =
        metric_cell_real(atomic_load_explicit(&row->metrics[index], memory_order_relaxed));
    return isfinite(real) ? real : 0;
}

/* Those that are not in use, made equal to those that are. */
static struct board_row *other_totals(struct board *board)
{
    uint32_t used = fold_totals(fold_begin(&board->fold));
    const struct board_row *from = &board->totals[used];
    struct board_row *to = &board->totals[1 - used];

    memcpy(to->counters, from->counters, sizeof(to->counters));
    memcpy(to->methods, from->methods, board_methods_known(board) * sizeof(to->methods[0]));
    memcpy(to->metrics, from->metrics, board_metrics_known(board) * sizeof(to->metrics[0]));
    return to;
}

uint32_t board_retire_row(struct board *board, struct board_row *row)
{
    struct tally tally = tally_of(board, row);
    struct board_row *totals = other_totals(board);

    for (uint32_t c = 0; c < WORKER_COUNTERS; c++)
        counter_add(&totals->counters[c], credible(&tally, &row->counters[c], COUNTS_A_NS));
    for (uint32_t m = 0; m < board_methods_known(board); m++)
        method_add(&tally, &totals->methods[m], &row->methods[m]);
    for (uint32_t m = 0; m < board_metrics_known(board); m++) {
        if (board->metric_kind[m] == BOARD_COUNTER)
            totals->metrics[m] += row->metrics[m];
        else if (board->metric_kind[m] == BOARD_SUM)
            metric_cell_add_real(&totals->metrics[m], real_of(row, m));
    }
    fold_commit(&board->fold, (uint32_t)(row - board->rows));
    row_clear(board, row);
    atomic_store(&board_head(board, row)->state, ROW_FREE);
    return tally.damaged;
}

/* ---- Blame ---- */

/* The only process that can write the module's name is dead or hangs. The name is copied once, with
 * only such characters as a log line may hold. */
static void copy_name(const struct board_row *row, uint32_t module, char *name)
{
    size_t size = 0;

    if (module > 0 && module <= BOARD_MODULES_MAX) {
        for (const char *from = row->modules[module - 1]; size < BOARD_MODULE_NAME_MAX - 1;
             size++) {
            char letter = from[size];
            if (letter <= ' ' || letter > '~')
                break;
            name[size] = letter;
        }
    }
    name[size] = '\0';
}

static void read_note(const struct board *board, const struct board_row *row,
                      const struct board_note *note, struct blame *blame)
{
    uint32_t duty = atomic_load(&note->duty), method = atomic_load(&note->method);

    blame->duty = duty < DUTIES ? (enum board_duty)duty : DUTY_NONE;
    blame->method =
        method == 0 || method > board_methods_known(board) ? BOARD_NO_METHOD : method - 1;
    blame->marked = blame->duty == DUTY_HANDLER;
    blame->connection = blame->marked ? 0 : atomic_load(&note->connection);
    blame->place = blame->marked ? 0 : atomic_load(&note->place);
    copy_name(row, atomic_load(&note->module), blame->module);
}

void board_blame(const struct board *board, const struct board_row *row, bool hung,
                 struct blame *blame)
{
    uint32_t running = atomic_load(&row->running);

    *blame = (struct blame){.method = BOARD_NO_METHOD, .marked = true};
    if (!hung && atomic_load(&row->culprit_told) == CULPRIT_TOLD) {
        read_note(board, row, &row->culprit, blame);
    } else if (running == BOARD_CALLBACK) {
        read_note(board, row, &row->loop, blame);
    } else if (running > 0 && running <= board_methods_known(board)) {
        blame->duty = DUTY_HANDLER;
        blame->method = running - 1;
    }
}

uint64_t board_sum(const struct board *board, enum worker_counter which)
{
    const struct board_row *row;
    uint64_t sum, seen;

    do {
        seen = fold_begin(&board->fold);
        sum = counter_read(&board->totals[fold_totals(seen)].counters[which]);
        for (uint32_t i = 0; (row = next_row(board, seen, &i)) != NULL;) {
            struct tally tally = tally_of(board, row);
            sum += credible(&tally, &row->counters[which], COUNTS_A_NS);
        }
    } while (!fold_holds(&board->fold, seen));
    return sum;
}

int64_t board_sum_metric(const struct board *board, uint32_t index)
{
    const struct board_row *row;
    uint64_t sum, seen; /* damaged ones may be beyond it */

    do {
        seen = fold_begin(&board->fold);
        sum = (uint64_t)board->totals[fold_totals(seen)].metrics[index];
        for (uint32_t i = 0; (row = next_row(board, seen, &i)) != NULL;)
            sum += (uint64_t)row->metrics[index];
    } while (!fold_holds(&board->fold, seen));
    return (int64_t)sum;
}

double board_sum_real(const struct board *board, uint32_t index)
{
    const struct board_row *row;
    uint64_t seen;
    double sum;

    do {
        seen = fold_begin(&board->fold);
        sum = real_of(&board->totals[fold_totals(seen)], index);
        for (uint32_t i = 0; (row = next_row(board, seen, &i)) != NULL;)
            sum += real_of(row, index);
    } while (!fold_holds(&board->fold, seen));
    return sum;
}

uint64_t board_calls(const struct board *board, uint32_t index)
{
    const struct board_row *row;
    uint64_t sum, seen;

    do {
        seen = fold_begin(&board->fold);
        sum = counter_read(&board->totals[fold_totals(seen)].methods[index].calls);
        for (uint32_t i = 0; (row = next_row(board, seen, &i)) != NULL;)
            sum += counter_read(&row->methods[index].calls);
    } while (!fold_holds(&board->fold, seen));
    return sum;
}

static void add_method(const struct board *board, uint64_t seen, uint32_t index,
                       struct method_counters *sum)
{
    struct tally all = {.lived_ns = UINT64_MAX};
    const struct board_row *row;

    method_add(&all, sum, &board->totals[fold_totals(seen)].methods[index]);
    for (uint32_t i = 0; (row = next_row(board, seen, &i)) != NULL;) {
        struct tally tally = tally_of(board, row);
        method_add(&tally, sum, &row->methods[index]);
    }
}

void board_sum_method(const struct board *board, uint32_t index, struct method_counters *sum)
{
    uint64_t seen;

    do {
        seen = fold_begin(&board->fold);
        memset(sum, 0, sizeof(*sum));
        add_method(board, seen, index, sum);
    } while (!fold_holds(&board->fold, seen));
}

void board_sum_name(const struct board *board, uint32_t index, struct method_counters *sum)
{
    uint64_t seen;

    do {
        seen = fold_begin(&board->fold);
        memset(sum, 0, sizeof(*sum));
        for (uint32_t at = index; at != BOARD_NO_METHOD; at = board_next_of_name(board, at))
            add_method(board, seen, at, sum);
    } while (!fold_holds(&board->fold, seen));
}

/* ---- Latencies ---- */

void method_count_failure(struct method_counters *counters, const char *code)
{
    counter_add(&counters->failures[error_code_index(code)], 1);
}

void method_count_refused(struct method_counters *counters, const char *code)
{
    counter_add(&counters->calls, 1);
    method_count_failure(counters, code);
}

uint64_t method_failures(const struct method_counters *counters)
{
    uint64_t sum = 0;

    for (uint32_t e = 0; e < ERROR_CODES_MAX; e++)
        sum += counter_read(&counters->failures[e]);
    return sum;
}

void method_count(struct method_counters *counters, const char *code, uint64_t ns)
{
    counter_add(&counters->calls, 1);
    if (code != NULL)
        method_count_failure(counters, code);
    counter_add(&counters->total_ns, ns);
    counter_add(&counters->latency[latency_bucket(ns)], 1);
}

/* Which half of its power of two a latency is in. */
uint32_t latency_bucket(uint64_t ns)
{
    if (ns < 1ull << LATENCY_FIRST_LOG)
        return 0;
    uint32_t log = 63 - (uint32_t)__builtin_clzll(ns);
    uint32_t half = (uint32_t)(ns >> (log - 1)) & 1;
    uint32_t bucket = 1 + (log - LATENCY_FIRST_LOG) * 2 + half;
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

uint64_t latency_limit(uint32_t bucket)
{
    if (bucket == 0)
        return (1ull << LATENCY_FIRST_LOG) - 1;
    if (bucket >= LATENCY_BUCKETS - 1)
        return UINT64_MAX;
    uint32_t log = LATENCY_FIRST_LOG + (bucket - 1) / 2;
    uint64_t half = 1ull << (log - 1);
    return (1ull << log) + ((bucket - 1) % 2 + 1) * half - 1;
}
