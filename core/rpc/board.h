/* The board: what all processes of a server know of each other, in memory that they share.
 *
 * The master makes it once, before it forks its first child, and writes all of it but the rows.
 * Each worker process has a row of its own: it can write to that row, and only read everything else
 * (board_enter), so that no module can damage the facts that other workers and the master rely on.
 * The content of a row is a worker's claim: readers check each index that they take from it, and
 * leave out counts that no worker can have reached.
 *
 * Rows need no locks: a counter is stored with a relaxed atomic store and read by any process. When
 * a worker is gone, the master adds its counters to the board's totals and the row is free again:
 * board_fold.h has how sums stay whole meanwhile.
 *
 * Methods are known by index: the master gives every method name that a configuration enables the
 * next free one, and never takes it back once the configuration was put to use, so a method's
 * counters outlive reloads. Metrics of modules are likewise; the master learns their names from the
 * probes. */
#ifndef PILLION_RPC_BOARD_H
#define PILLION_RPC_BOARD_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/counter.h"
#include "base/error.h"
#include "conf/settings.h"
#include "net/counters.h"
#include "net/crowd.h"
#include "net/directory.h"
#include "net/tls_counters.h"
#include "rpc/board_fold.h"
#include "rpc/journal.h"
#include "rpc/registry_figure.h"
#include "wire/error_code.h"

#define BOARD_METHODS_MAX  1024u /* distinct method names in the life of a master */
#define BOARD_METHODS_KEPT 128u  /* of them for names that a configuration gives (proxy_all) */
#define BOARD_METRICS_MAX  1024u /* likewise of metrics */
#define BOARD_ROWS_MAX     288u  /* 128 workers, old and new generation, and some that linger */
#define BOARD_NAME_MAX     256u
#define BOARD_SERVER_MAX   128u
#define BOARD_NO_METHOD    UINT32_MAX
#define BOARD_NO_METRIC    UINT32_MAX
#define BOARD_CALLBACK     (BOARD_METHODS_MAX + 1u) /* running: not a handler; see `loop` */

#define BOARD_MODULES_MAX     64u /* modules beyond that have no name in a worker's row */
#define BOARD_MODULE_NAME_MAX 48u

/* Latencies: two buckets for each power of two of nanoseconds, from 2^7 (128 ns) on; the last takes
 * all that is longer (2^38 ns, about four and a half minutes). */
#define LATENCY_BUCKETS   64u
#define LATENCY_FIRST_LOG 7u

struct method_counters {
    counter calls;
    counter failures[ERROR_CODES_MAX]; /* calls answered with an error, by error_code_index */
    _Atomic uint32_t waiting;          /* calls that are deferred */
    counter total_ns;
    counter latency[LATENCY_BUCKETS];
};

enum board_metric_kind {
    BOARD_COUNTER,
    BOARD_GAUGE, /* ends with its worker */
    BOARD_SUM    /* a counter that is a double: metric_cell_real */
};

enum board_state {
    ROW_FREE,
    ROW_STARTING, /* loading modules */
    ROW_READY,
    ROW_SERVING,
    ROW_LEAVING /* finishing what it has begun */
};

/* What a module's code is called for. */
enum board_duty {
    DUTY_NONE,
    DUTY_HANDLER,
    DUTY_FILTER, /* after a deferred request's answer */
    DUTY_WORK,   /* pillion_offload, in a thread of the pool */
    DUTY_DONE,   /* likewise, on the loop */
    DUTY_TIMER,
    DUTY_WATCH,
    DUTY_CANCEL, /* pillion_on_cancel */
    DUTY_POSTED, /* pillion_post */
    DUTY_HOOK,
    DUTY_THREAD, /* a thread that a module has made itself */
    DUTY_END,    /* pillion_on_end */
    DUTY_CALL,   /* pillion_call: a handler that another one has called */
    DUTY_CONN,   /* pillion_conn_set: a connection's value ends */
    DUTIES
};

/* What a thread runs for. */
struct board_note {
    _Atomic uint32_t duty;       /* enum board_duty */
    _Atomic uint32_t module;     /* 1 + index in `modules` of the row; 0: not known */
    _Atomic uint32_t method;     /* 1 + its index; 0: no method's */
    _Atomic uint64_t connection; /* the request, by its connection's id ... */
    _Atomic uint64_t place;      /* ... and its frame's place in the input stream; both 0: none */
};

enum { CULPRIT_UNKNOWN, CULPRIT_BEING_TOLD, CULPRIT_TOLD };

/* A worker process, as the master tells of it. */
struct board_head {
    _Atomic uint32_t state; /* enum board_state */
    _Atomic uint32_t slot;
    _Atomic int32_t pid;
    _Atomic uint64_t generation;
    uint64_t since_ns;      /* when the row was taken */
    counter state_since_ns; /* when the state became what it is */
    counter lag_ns;         /* between the master's last question (master/pulse.h) and its answer */
};

#define BOARD_PAGE 4096u /* a row can be mapped alone */

/* The same process, as it tells of itself. */
struct board_row {
    _Alignas(BOARD_PAGE) _Atomic uint32_t open; /* connections at present */
    _Atomic uint32_t unheld;                    /* of them, those for which no vault has room */
    _Atomic uint32_t crowded; /* 1: it accepts nothing, because it or the vaults have no room */
    _Atomic uint32_t blocks;  /* of its arena, in use */

    /* The watchdog's view, stored by the worker around each handler: which method runs (1 + its
     * index, 0 for none), how many have run, and how long this one may take. No clock is read for
     * it: the master sees that nothing moved. */
    _Atomic uint32_t running;
    _Atomic uint32_t streams; /* of events that it sends (rpc/stream.h) */
    _Atomic uint64_t dispatched;
    _Atomic uint64_t allowed_ns;

    /* `loop`: the module and request for which the loop runs while `running` is BOARD_CALLBACK.
     * `culprit`: the same of the thread that a fatal signal struck, or that ended the process
     * (rpc/culprit.h). */
    struct board_note loop, culprit;
    _Atomic uint32_t culprit_told; /* CULPRIT_... */
    char modules[BOARD_MODULES_MAX][BOARD_MODULE_NAME_MAX];

    /* The pool of pillion_offload: its threads at work, calls that wait for one, and those of the
     * former that are stuck. */
    _Atomic uint32_t pool_busy, pool_queued, pool_stuck;

    counter counters[WORKER_COUNTERS];
    struct method_counters methods[BOARD_METHODS_MAX];
    metric_cell metrics[BOARD_METRICS_MAX]; /* any thread of the worker adds to them */
    struct crowd_row crowd;                 /* its clients by their addresses */
};
static_assert(sizeof(struct board_row) % BOARD_PAGE == 0, "rows begin at pages");

#ifdef PILLION_TEST_LAYOUT
#define BOARD_LAYOUT 1000u
#else
#define BOARD_LAYOUT 9u /* raised whenever a structure here changes */
#endif

/* Whether a method is out of service (master/quarantine.c). */
enum quarantined {
    QUARANTINED_NOT,
    QUARANTINED,
    QUARANTINED_WITH_FILTERS /* nor do filters see its refused calls: one of them has crashed */
};

/* One vault, as it has told the master. */
struct board_vault {
    _Atomic uint32_t held; /* sockets that it has */
    counter refused;       /* and did not take, because there was no room for them */
};

#define BOARD_GATES_MAX 256u /* gates that serve, and former ones whose clients have not gone */
#define BOARD_NO_GATE   UINT32_MAX

/* A gate, as it tells of itself. */
struct board_gate {
    _Alignas(BOARD_PAGE) counter counters[TLS_COUNTERS];
    struct crowd_row crowd; /* the clients whose handshakes are under way, by their addresses */
};
static_assert(sizeof(struct board_gate) % BOARD_PAGE == 0, "rows begin at pages");

#define BOARD_SERVICES_MAX        DIRECTORY_SERVICES_MAX
#define BOARD_REGISTRY_PREFIX_MAX 256u

/* A service that modules want, as the registry process has published it. */
struct board_service {
    _Atomic bool used, known; /* known: there was an answer */
    _Atomic uint32_t servers;
    char name[DIRECTORY_NAME_MAX];
};

/* How the server stands with its registry, as the registry process has told the master. */
struct board_registry {
    _Atomic bool configured; /* there is a `registry` */
    _Atomic bool lost;       /* the registry does not answer */
    _Atomic uint32_t starts; /* 0: there was no such process yet */
    _Atomic int32_t pid;     /* 0: none runs */
    counter restarts;
    counter lease;                          /* 0: none */
    counter figures[REGISTRY_FIGURES];      /* by enum registry_figure */
    char prefix[BOARD_REGISTRY_PREFIX_MAX]; /* what is registered below it; cut */
    char why[256];                          /* of the last change: the member, or the trouble */
    struct board_service services[BOARD_SERVICES_MAX];
};

static_assert(BOARD_NAME_MAX == JOURNAL_METHOD_MAX && BOARD_MODULE_NAME_MAX == JOURNAL_MODULE_MAX,
              "the journal has room for every name");

struct board {
    uint32_t layout, size;  /* BOARD_LAYOUT, sizeof(struct board) */
    uint64_t started_ns;    /* clock_ns() of the master's start */
    uint64_t started_at_ms; /* clock_wall_ms() of it: names this run of the server to readers */
    uint64_t secret;        /* a random number: workers know it, clients do not */
    _Atomic uint64_t generation;
    _Atomic uint32_t workers; /* slots of that generation */
    counter reloads, reloads_failed;
    _Atomic int64_t reloaded_at; /* time(2) of the end of the last reload, or of the start */
    _Atomic bool reload_failed;  /* it has failed */
    _Atomic int64_t certificate_expires; /* time(2) at which the first certificate that is in use
                                            expires; 0: there is none */
    counter crashes;                     /* workers that died of a signal or an unasked-for exit */
    counter hangs;                       /* workers ended by the watchdog */
    counter vault_restarts;
    counter gate_restarts;      /* gates that ended while they had clients, and were replaced */
    _Atomic uint32_t handovers; /* workers whose connections are not all taken over yet */
    counter log_lost;           /* lines of the log that the master could not write */
    _Atomic uint32_t vault_count, vault_room; /* vaults in use, and sockets that each can hold */
    struct board_vault vaults[VAULT_PROCESSES_MAX];
    struct board_registry registry;

    _Atomic uint32_t method_count;
    char names[BOARD_METHODS_MAX][BOARD_NAME_MAX];
    char servers[BOARD_METHODS_MAX][BOARD_SERVER_MAX]; /* whose method it is: see below */
    _Atomic uint32_t metric_count;
    char metric_names[BOARD_METRICS_MAX][BOARD_NAME_MAX];
    uint8_t metric_kind[BOARD_METRICS_MAX]; /* enum board_metric_kind */

    _Atomic uint32_t quarantined[BOARD_METHODS_MAX]; /* enum quarantined */

    struct journal journal;

    /* Rows from here on were never used: looking at one would give it pages. */
    _Atomic uint32_t row_high;
    struct board_head heads[BOARD_ROWS_MAX];
    fold_word fold;             /* which totals are in use */
    struct board_row totals[2]; /* of workers that are gone */
    struct board_row rows[BOARD_ROWS_MAX];

    _Atomic uint32_t gate_high;                  /* as row_high is */
    _Atomic uint32_t gate_used[BOARD_GATES_MAX]; /* 0: free; 2: it takes no more clients */
    fold_word gate_fold;
    counter gate_totals[2][TLS_COUNTERS]; /* of gates that are gone */
    struct board_gate gates[BOARD_GATES_MAX];
};

/* Makes the board: shared, zeroed, and given pages only as they are touched; no core dump has it.
 * Master only. NULL with the reason. */
struct board *board_new(struct error *error);

/* In a child of the master, before it runs any module and while it still has the board's file: from
 * here on it can only read the board, where it was mapped before, and cannot change that
 * (mprotect(2) refuses to make a mapping of a file writable that was opened for reading only).
 * `row`, or NULL, is its own: the row is mapped a second time, and becomes the place to write to.
 * False with the reason. */
bool board_enter(struct board *board, struct board_row **row, struct error *error);

/* The same for a gate, whose row may be NULL: then its counts are in memory of its own. */
bool board_enter_gate(struct board *board, struct board_gate **gate, struct error *error);

/* Makes it as if it were new. For tests of modules, which have one process. */
void board_reset(struct board *board);

/* The memory file behind the board, for a binary that takes this master's place; and the board from
 * such a file. One of another layout is replaced by a new board (`anew`): counters begin again, and
 * workers of the old binary count where nobody looks. */
int board_descriptor(void);
struct board *board_resume(int fd, bool *anew, struct error *error);

/* The index of `name`, given now if it is new. BOARD_NO_METHOD when all are used up. Master only.
 */
uint32_t board_add_method(struct board *board, const char *name);

/* The same for a method of one server, which board_server names: servers count apart, as long as
 * there is room for that. Then a name of several servers has several indexes. */
uint32_t board_add_server_method(struct board *board, const char *server, const char *name);
const char *board_server(const struct server_settings *settings);

/* An index of `name`, or BOARD_NO_METHOD; that of the server, or, where it has none of its own,
 * another's. */
uint32_t board_find_method(const struct board *board, struct bytes name);
uint32_t board_find_server_method(const struct board *board, const char *server, struct bytes name);

/* The next index after `index` of the same name, or BOARD_NO_METHOD. */
uint32_t board_next_of_name(const struct board *board, uint32_t index);

/* True when no index before it has its name. */
bool board_first_of_name(const struct board *board, uint32_t index);

/* How many indexes are given, the methods of former configurations among them. */
uint32_t board_methods_known(const struct board *board);

/* Frees the indexes that were given since there were `known` of them. No worker that knows them has
 * served, so nothing was counted by them. Master only. */
void board_forget_methods(struct board *board, uint32_t known);

/* The same for metrics. Should a later generation declare a counter as a gauge, or the other way
 * round, the first declaration holds. Master only. */
uint32_t board_add_metric(struct board *board, const char *name, enum board_metric_kind kind);
uint32_t board_find_metric(const struct board *board, struct bytes name);
uint32_t board_metrics_known(const struct board *board);

/* A free row, zeroed and taken for `slot`, or NULL. Master only. */
struct board_row *board_take_row(struct board *board, uint32_t slot, uint64_t generation);

/* What the master says of the worker with this row, which is one of `board->rows`. */
struct board_head *board_head(struct board *board, const struct board_row *row);

/* Adds the row's counters to the totals and frees it. Counts that no worker can have reached in its
 * time are damage: they are left out, and their number is returned. Master only, after the worker
 * is gone. */
uint32_t board_retire_row(struct board *board, struct board_row *row);

/* A free row for a gate; NULL when all are in use: that gate counts where nobody looks. Master
 * only.
 */
struct board_gate *board_take_gate(struct board *board);

/* Where the row is, for the state of an upgrade, and the row that is there and in use, or NULL. */
uint32_t board_gate_place(const struct board *board, const struct board_gate *gate);
struct board_gate *board_gate_at(struct board *board, uint32_t place);

/* Adds the counters to the totals, what was under way as ended, and frees the row, which may be
 * NULL. Master only, after the gate is gone. */
void board_retire_gate(struct board *board, struct board_gate *gate);

/* The gate takes no more clients; and how many such there are. The row may be NULL. */
void board_gate_leaves(struct board *board, const struct board_gate *gate);
uint32_t board_gates_leaving(const struct board *board);

/* The sum over all gates, those that are gone among them; and how many there are. */
uint64_t board_sum_tls(const struct board *board, enum tls_counter which);
uint32_t board_gates(const struct board *board);

/* How many clients the gate has, whose handshakes are under way or done; and how many a gate that
 * takes clients has on average. */
uint32_t board_gate_clients(const struct board_gate *gate);
uint32_t board_gate_average(const struct board *board);

/* For struct crowd: the rows of all workers, and of all gates. `board` is the board. */
const struct crowd_row *board_next_crowd(void *board, uint32_t *i);
const struct crowd_row *board_next_gate_crowd(void *board, uint32_t *i);

/* The module, method and request that a worker's death is put down to. */
struct blame {
    enum board_duty duty;               /* DUTY_NONE: nobody, or not known */
    uint32_t method;                    /* its index, or BOARD_NO_METHOD */
    char module[BOARD_MODULE_NAME_MAX]; /* "" when not known */
    bool marked; /* the request is the one that its connection's record is marked with */
    uint64_t connection, place; /* otherwise; 0: no request */
};

/* Reads the blame from the row of a worker that is dead, or hangs (`hung`). Nothing in the row is
 * trusted; every member of `blame` is checked and can be used as it is. */
void board_blame(const struct board *board, const struct board_row *row, bool hung,
                 struct blame *blame);

/* The sum over all rows and the totals. */
uint64_t board_sum(const struct board *board, enum worker_counter which);
int64_t board_sum_metric(const struct board *board, uint32_t index);
double board_sum_real(const struct board *board, uint32_t index); /* of kind BOARD_SUM */
void board_sum_method(const struct board *board, uint32_t index, struct method_counters *sum);

/* The calls of the method, damaged counts among them: only to see a change. */
uint64_t board_calls(const struct board *board, uint32_t index);

/* The same over that index and all after it that have its name. */
void board_sum_name(const struct board *board, uint32_t index, struct method_counters *sum);

/* Counts a call that took so long. `code` is that of the error that it was answered with, or NULL.
 */
void method_count(struct method_counters *counters, const char *code, uint64_t ns);

/* Counts an error, whose call has been counted. */
void method_count_failure(struct method_counters *counters, const char *code);

/* Counts a call that no handler has taken, or whose handler never answered. */
void method_count_refused(struct method_counters *counters, const char *code);

/* All of the method's errors. */
uint64_t method_failures(const struct method_counters *counters);

/* The bucket of a latency, and the largest latency that a bucket holds, in nanoseconds. */
uint32_t latency_bucket(uint64_t ns);
uint64_t latency_limit(uint32_t bucket);

#endif
