/* <pillion/module.h>: everything that a module of the Pillion RPC server needs.
 *
 * A module is a shared object with one exported descriptor, made by PILLION_MODULE. Its methods are
 * C functions that answer requests; its directives are read from the configuration; its hooks run
 * when a configuration is checked and when a worker starts and stops.
 *
 *     static void ping(pillion_request *req)
 *     {
 *         pillion_reply_raw(req, "pong", pillion_params_raw(req));
 *     }
 *
 *     static const pillion_method methods[] = {
 *         {.name = "ping", .handler = ping, .summary = "Gives its params back."},
 *         {0},
 *     };
 *
 *     PILLION_MODULE(.name = "ping", .version = "1.0.0", .methods = methods);
 *
 *     cc -shared -fPIC $(pkg-config --cflags pillion) -o ping.so ping.c
 *
 * Everything here runs on the worker's one thread, unless it says otherwise. A worker is one event
 * loop: a handler that takes long holds up every client of its worker, and one that takes longer
 * than `handler_timeout` is ended together with its worker. What has to wait defers its request
 * (pillion_defer) and comes back later; what can only block goes to a thread (pillion_offload).
 *
 * A worker runs as the user of the directive `user`, in `working_directory`, with the environment,
 * the umask and the standard output and error of the server's starter. SIGPIPE kills nobody, and
 * no signal is blocked; the server has handlers for SIGTERM and other signals that the master acts
 * on, and for those of crashes, which are to stay.
 *
 * A module uses cJSON's functions as they are, without linking cJSON itself and without calling
 * cJSON_InitHooks.
 *
 * The header compiles as C11 and later and as C++17 and later, and tables as these do without
 * warnings: in C++ too, where initialisers stand in the order of the members. */
#ifndef PILLION_MODULE_H
#define PILLION_MODULE_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>
#ifndef __cplusplus
#include <stdbool.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The module interface. A server loads a module of its own major and of a minor up to its own:
 * within a major, things are only ever added. */
#define PILLION_ABI_MAJOR 1
#define PILLION_ABI_MINOR 6

#define PILLION_EXPORT __attribute__((visibility("default")))

/* Members of rows and of the descriptor are zero where they are left out. C++ is told so, or
 * `-Wextra` would ask for each of them. */
#ifdef __cplusplus
#define PILLION_0 = {}
#else
#define PILLION_0
#endif

#if defined(__GNUC__)
#define PILLION_PRINTF(string, first) __attribute__((format(printf, string, first)))
#else
#define PILLION_PRINTF(string, first)
#endif

/* One call being answered. Valid until it is answered and the handler has returned. */
typedef struct pillion_request pillion_request;

/* This module in this process: its configuration and its state. Valid for the process's life. */
typedef struct pillion_instance pillion_instance;

/* Where a hook says why it failed. See pillion_error. */
typedef struct pillion_error_text pillion_error_text;

/* Bytes that somebody else owns. Not NUL-terminated. */
typedef struct {
    const char *data;
    size_t size;
} pillion_bytes;

/* ---- What a module declares ---- */

/* Answers a request: exactly one pillion_reply… or pillion_fail before it returns, or pillion_defer
 * and one of them later. */
typedef void (*pillion_handler)(pillion_request *req);

typedef enum {
    PILLION_FLAG = 1,    /* bool: on, off */
    PILLION_INTEGER = 2, /* int64_t */
    PILLION_SIZE = 3,    /* uint64_t bytes: 512, 16k, 1m, 2g */
    PILLION_TIME = 4,    /* uint64_t milliseconds: 200ms, 5s, 1m, 2h, 1d */
    PILLION_STRING = 5,  /* const char * */
    PILLION_ENUM = 6,    /* int: the index of the word in `words` */
    PILLION_LIST = 7,    /* pillion_list: one or more words */
    PILLION_PATH = 8,    /* const char *: a string made absolute with the server's prefix */

    /* Of params, which have the first two, STRING and ENUM too (see pillion_param). Since 1.5. */
    PILLION_NUMBER = 9, /* double: finite */
    PILLION_TEXT = 10,  /* pillion_bytes: a string as UTF-8, which may hold \u0000 */
    PILLION_BYTES = 11, /* pillion_bytes: what a string of base64 stands for (RFC 4648 section 4) */
    PILLION_OBJECT = 12, /* a structure, in its place, with a table of its own */
    PILLION_JSON = 13,   /* pillion_bytes: any value, as the client sent it */

    /* Of directives. A file of at most a megabyte, which the server reads before it gives up its
     * rights: the file may be root's alone. Each reload reads it anew, once for all workers of its
     * configuration and those that take their places. Since 1.6. */
    PILLION_FILE = 14 /* pillion_file: a path made absolute with the server's prefix */
} pillion_type;

/* What a file holds. Valid for the process's life. Since 1.6. */
typedef struct {
    const char *path; /* NULL: the directive was not given */
    const char *data; /* with a NUL behind it, which is not counted */
    size_t size;
} pillion_file;

typedef struct {
    const char **items;
    size_t count;
} pillion_list;

/* A row of the table of directives, which ends with a row of zeros. The server reads the block of
 * `load_module`, checks it against the table and stores each value in the module's configuration
 * structure, `config_size` bytes, at `offset`. */
typedef struct pillion_directive {
    const char *name;
    pillion_type type PILLION_0;
    size_t offset PILLION_0;        /* offsetof(struct my_config, member) */
    const char *fallback PILLION_0; /* the default as it would be written; NULL: zero */
    int64_t min PILLION_0;          /* INTEGER, SIZE and TIME: inclusive bounds; both 0: none */
    int64_t max PILLION_0;
    const char *const *words PILLION_0; /* ENUM: the words, NULL-terminated */
    bool required PILLION_0;
    const char *summary PILLION_0;

    /* Looks at the value that a statement gives, which is at `value` in the structure, and returns
     * 0, or `return pillion_error(error, "…")`: the error points at the statement then. In each
     * process that reads the configuration, before any hook; values of other directives may not be
     * there yet. Since 1.5. */
    int (*check)(const void *value, pillion_error_text *error) PILLION_0;
} pillion_directive;

/* The member of a param that is a list: as many of its type, one after the other. Since 1.5. */
typedef struct {
    void *items; /* of const char *, say, or of the structure of a PILLION_OBJECT */
    size_t count;
} pillion_array;

/* A row of the table of params, which ends with a row of zeros: what a method takes. The server
 * reads the params of each request into a structure by it, and the handler has that from
 * pillion_args. Where they are not as the table says, the client is told each place and what was
 * wanted there, and the handler does not run. `rpc.describe`, `rpc.discover`, tools of agents and
 * `pillion doc` show the table as a JSON Schema.
 *
 *     struct greet {
 *         const char *name;
 *         int64_t times;
 *     };
 *
 *     static const pillion_param greet_params[] = {
 *         PILLION_PARAM(struct greet, name, PILLION_STRING, .min = 1, .max = 40, .required = true),
 *         PILLION_PARAM(struct greet, times, PILLION_INTEGER, .fallback = "1", .min = 1, .max = 9),
 *         {0},
 *     };
 *
 *     {.name = "greet", .handler = greet, PILLION_PARAMS(struct greet, greet_params)},
 *
 * Integers are exact: 1e3 and 1000.0 are whole numbers, 1e-400 is none. A client of JSON-RPC may
 * give params by position, in the order of the table. Since 1.5. */
typedef struct pillion_param pillion_param;
struct pillion_param {
    const char *name;
    size_t offset PILLION_0; /* offsetof(struct greet, member) */
    size_t width PILLION_0;  /* sizeof that member, which is checked; 0: is not */

    /* FLAG, INTEGER, STRING, ENUM, NUMBER, TEXT, BYTES, OBJECT or JSON. */
    pillion_type type PILLION_0;

    /* The default as JSON; NULL: zero, and of an OBJECT its members'. */
    const char *fallback PILLION_0;

    /* INTEGER: inclusive bounds; STRING and TEXT: of how many characters there are; BYTES: of how
     * many bytes. Both 0: none. A `min` above 0 without a `max`: no upper one. */
    int64_t min PILLION_0;
    int64_t max PILLION_0;
    double from PILLION_0; /* NUMBER: inclusive bounds, likewise */
    double to PILLION_0;
    const char *const *words PILLION_0; /* ENUM: the words, NULL-terminated */

    bool list PILLION_0;    /* the member is a pillion_array of the type */
    size_t least PILLION_0; /* of a list: how many it may have, likewise */
    size_t most PILLION_0;

    const pillion_param *members PILLION_0; /* OBJECT: its table, for a structure ... */
    size_t size PILLION_0;                  /* ... of this size */
    bool open PILLION_0;                    /* other members may be there, and are passed over */

    bool required PILLION_0;

    /* offsetof a bool of the same structure, which becomes true when the client has given it; 0:
     * none, so that bool is not the structure's first member. */
    size_t given PILLION_0;
    const char *summary PILLION_0; /* one sentence */
};

/* A row: the structure, its member, whose name is the param's, the type, and initialisers. */
#define PILLION_PARAM(structure, member, ...)                          \
    {                                                                  \
        .name = #member, .offset = offsetof(structure, member),        \
        .width = sizeof(((structure *)0)->member), .type = __VA_ARGS__ \
    }

/* Gives a method, or a param that is an object, its table and structure. */
#define PILLION_PARAMS(structure, table)  .args = (table), .args_size = sizeof(structure)
#define PILLION_MEMBERS(structure, table) .members = (table), .size = sizeof(structure)

/* Gives a method the table of its result, and the structure that is written by it. */
#define PILLION_GIVES(structure, table) .gives = (table), .gives_size = sizeof(structure)

/* A row of the table of methods, which ends with a row of zeros. */
typedef struct pillion_method {
    const char *name; /* as clients call it: 1 to 255 bytes of printable UTF-8 */
    pillion_handler handler PILLION_0;
    const char *summary PILLION_0; /* one sentence, for rpc.describe and documentation */

    /* What params it takes, and what it replies with: JSON Schemas (2020-12) as text, or NULL.
     * Since 1.5 they are enforced, as the directive `validate` says: params in a server, and both
     * in <pillion/test.h>; a schema that cannot be is refused. What a table can say belongs into
     * `args` and `gives`; where both are given, both hold, and the text is what is shown. */
    const char *params PILLION_0;
    const char *result PILLION_0;

    /* Running a request of it twice does no harm: one that was deferred when its worker crashed is
     * run once more. Since 1.2. */
    bool idempotent PILLION_0;

    /* For handlers that the configuration makes several methods of: `method NAME { handler
     * MODULE.THIS; … }` fills a structure of `config_size` bytes by `directives`, one for each such
     * statement, and `start`, if there is one, is called for it as filters' are. Of the first such
     * handler of a module, `MODULE_method NAME WORD… { … }` is short for it: the words are the
     * arguments of its first directive. Since 1.2. */
    const pillion_directive *directives PILLION_0;
    size_t config_size PILLION_0;
    int (*start)(pillion_instance *self, void *config, pillion_error_text *error) PILLION_0;

    /* Requests of it change nothing: over HTTP it can be called by GET, too. Since 1.5. */
    bool read_only PILLION_0;

    /* Requests of it add to what there is, and neither change nor remove any of it: agents are told
     * that it destroys nothing. A method that is neither this nor read_only may destroy something,
     * for all that they know. Since 1.5. */
    bool additive PILLION_0;

    const char *title PILLION_0; /* its name for people, "Greet somebody", or NULL. Since 1.5 */

    /* The params that it takes, and the size of the structure that they fill: PILLION_PARAMS. The
     * filters run first. Since 1.5. */
    const pillion_param *args PILLION_0;
    size_t args_size PILLION_0;
    bool open PILLION_0; /* params that the table does not have may be there: they are ignored */

    /* The members of the object that it replies with, as rows like those of params, and the size of
     * the structure that pillion_reply_struct writes by them: PILLION_GIVES. Since 1.5. */
    const pillion_param *gives PILLION_0;
    size_t gives_size PILLION_0;
} pillion_method;

typedef enum { PILLION_NEXT = 0, PILLION_STOP = 1 } pillion_verdict;

/* A row of the table of filters, which ends with a row of zeros. A filter sees the requests of the
 * servers and methods whose blocks have a `filter NAME;` statement, in the order of the statements,
 * a server's before a method's. Interface 1.1.
 *
 * Each statement has a structure of its own, `config_size` bytes: zeroed, then filled from the
 * statement's block by `directives`. The filter may keep its own state there too, in members that
 * no directive fills.
 *
 * start:  once for each statement in each worker, after the module's own `start` and before it
 *         serves. A failure keeps the new configuration from being used.
 * stop:   in each worker that ends in order, after its last request, before the module's `stop`.
 * before: PILLION_NEXT lets the request go on; PILLION_STOP ends it here, answered by the filter
 *         (pillion_reply… or pillion_fail).
 * after:  the request is answered: by the handler, or by a filter further in, or by this one. In
 *         the opposite order. It may look (pillion_error_code, pillion_reply_size,
 *         pillion_elapsed_ns) and not answer.
 *
 * Any of them may be NULL. pillion_self is the filter's module in them, pillion_filter_config the
 * statement's structure. */
typedef struct pillion_filter {
    const char *name; /* as `filter` gives it: letters, digits, - and _ */
    pillion_verdict (*before)(pillion_request *req) PILLION_0;
    void (*after)(pillion_request *req) PILLION_0;
    int (*start)(pillion_instance *self, void *config, pillion_error_text *error) PILLION_0;
    void (*stop)(pillion_instance *self, void *config) PILLION_0;
    const char *summary PILLION_0;                 /* one sentence */
    const pillion_directive *directives PILLION_0; /* of the statement's block, or NULL */
    size_t config_size PILLION_0;

    /* Whether `after` is called for requests too that `before` has not seen: refused before it was
     * their turn (by another filter, as no request, as calls of a method that is not there or that
     * is out of service), or answered for a worker that died. For logs and counts; a filter whose
     * `after` gives back what its `before` has taken leaves it false. Where no method was found,
     * pillion_method_name is the name that was asked for, or "". Since 1.4. */
    bool unseen PILLION_0;
} pillion_filter;

typedef enum {
    PILLION_COUNTER = 1, /* only grows; what workers that are gone have counted stays in it */
    PILLION_GAUGE = 2,   /* a level, such as how many connections there are; ends with its worker */
    PILLION_HISTOGRAM = 3 /* how often values were how large, such as how long something took; as a
                             counter otherwise. See pillion_observe. Since 1.5 */
} pillion_metric_type;

/* A row of the table of metrics, which ends with a row of zeros: numbers of the module's own, which
 * `rpc.stats` shows as the sum over all workers. Since 1.3. */
typedef struct pillion_metric {
    const char *name; /* letters, digits, - and _ */
    pillion_metric_type type PILLION_0;
    const char *summary PILLION_0; /* one sentence */

    /* HISTOGRAM: the upper bounds of its buckets, ascending, PILLION_BOUNDS_MAX at most; a last
     * bucket has what is larger. NULL: 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, for
     * seconds. Since 1.5. */
    const double *bounds PILLION_0;
    size_t bound_count PILLION_0;
} pillion_metric;

#define PILLION_BOUNDS_MAX 32

/* In a row: an array of doubles. */
#define PILLION_BOUNDS(array) .bounds = (array), .bound_count = sizeof(array) / sizeof(*(array))

/* What a module needs beside its own memory and the server's functions. Since 1.6. */

/* Sockets of its own, to other servers by TCP, UDP or Unix sockets, and looking names up. */
#define PILLION_NEEDS_NETWORK 1u

/* Opening files: those that directives of the type PILLION_PATH name, in its own block and in those
 * of its methods and filters, and what else lies in the same folders; a path that is a folder, with
 * all that is in it; and what the directives `sandbox_read` and `sandbox_write` name. The user that
 * workers run as has to be allowed to, as ever. Any module may read what the system itself needs,
 * such as shared libraries, time zones and locales. */
#define PILLION_NEEDS_FILES 2u

/* Starting other programs (fork(2), execve(2)) from the system's folders, and signals to them. They
 * run in the same sandbox. Threads need nothing. */
#define PILLION_NEEDS_PROCESSES 4u

/* The module's descriptor. Fields are only ever appended; zero means absent. The first six are the
 * macro's; the last of those is where earlier versions have four bytes of nothing. */
typedef struct pillion_module {
    uint32_t abi_major;
    uint32_t abi_minor PILLION_0;
    uint32_t size PILLION_0;        /* of this structure, as the module was compiled */
    uint32_t method_size PILLION_0; /* of a row of each table, likewise */
    uint32_t directive_size PILLION_0;
    uint32_t param_size PILLION_0; /* since 1.5 */

    const char *name PILLION_0; /* unique among loaded modules: letters, digits, - and _ */
    const char *version PILLION_0;
    const char *summary PILLION_0;
    const pillion_method *methods PILLION_0;
    const pillion_directive *directives PILLION_0;
    size_t config_size PILLION_0; /* of the structure that `directives` fill */

    /* Hooks. Each returns 0, or fills `error` and returns non-zero: `return pillion_error(error,
     * "cannot open %s", path)`. None ever runs in the master.
     *
     * check: once in a throwaway process before a configuration is put to use. Look, but keep
     *        nothing: what it allocates ends with the process.
     * start: once in each worker before it serves. A failure keeps the new configuration from being
     *        used, and the old one goes on. `pillion -t` calls it too, and then `stop`. In a worker
     *        that replaces one which died, clients wait for it.
     * stop:  once in each worker that ends in order, after its last request. Before it, on_cancel
     *        and on_end are called for requests that still waited, and threads have had a second
     *        to see pillion_work_cancelled and end; where one has not, no `stop` is called. The
     *        module that was loaded last stops first. Timers, posts and work that `stop` begins
     *        are not called any more. */
    int (*check)(pillion_instance *self, pillion_error_text *error) PILLION_0;
    int (*start)(pillion_instance *self, pillion_error_text *error) PILLION_0;
    void (*stop)(pillion_instance *self) PILLION_0;

    const pillion_filter *filters PILLION_0; /* since 1.1 */
    const pillion_metric *metrics PILLION_0; /* since 1.3 */

    /* In each worker, when files that were moved away are to be opened anew: `pillion -s reopen`,
     * SIGUSR1 to the master. Returns 0, or as the others what could not be opened; then it goes on
     * with what it had. Since 1.3. */
    int (*reopen)(pillion_instance *self, pillion_error_text *error) PILLION_0;

    /* What it does beside answering: PILLION_NEEDS_… together. Workers are locked down (the
     * directive `sandbox`): what no module of theirs needs, the kernel refuses, as a crash of the
     * module or with an errno. Since 1.6; modules of before may do all of these. */
    uint32_t needs PILLION_0;
} pillion_module;

/* Defines the descriptor, and an ELF note that tells the interface's version without running or
 * even mapping the module (elf(5), "Notes"). Once in a module; the arguments are initialisers:
 * PILLION_MODULE(.name = "ping", .version = "1.0.0", .methods = methods); */
#ifdef __cplusplus
#define PILLION_LINKAGE extern "C"
#else
#define PILLION_LINKAGE extern
#endif

/* Bindings of other languages need the two things that PILLION_MODULE makes: the exported symbol
 * pillion_module_descriptor, and an ELF note in a loaded segment (PT_NOTE) of this type, named
 * "Pillion", whose description is major and minor, 4 bytes each in the machine's order. The sizes
 * of rows are in the descriptor also where there is no such table. */
#define PILLION_NOTE_TYPE 1
#define PILLION_QUOTE_(x) #x
#define PILLION_QUOTE(x)  PILLION_QUOTE_(x)

#define PILLION_MODULE(...)                                                                        \
    __asm__(".pushsection .note.pillion,\"a\",%note\n"                                             \
            ".balign 4\n"                                                                          \
            ".long 8, 8, " PILLION_QUOTE(                                                          \
                PILLION_NOTE_TYPE) "\n"                                                            \
                                   ".asciz \"Pillion\"\n"                                          \
                                   ".long " PILLION_QUOTE(PILLION_ABI_MAJOR) ", " PILLION_QUOTE(   \
                                       PILLION_ABI_MINOR) "\n"                                     \
                                                          ".popsection");                          \
    PILLION_LINKAGE PILLION_EXPORT const pillion_module pillion_module_descriptor;                 \
    const pillion_module pillion_module_descriptor = {.abi_major = PILLION_ABI_MAJOR,              \
                                                      .abi_minor = PILLION_ABI_MINOR,              \
                                                      .size = sizeof(pillion_module),              \
                                                      .method_size = sizeof(pillion_method),       \
                                                      .directive_size = sizeof(pillion_directive), \
                                                      .param_size = sizeof(pillion_param),         \
                                                      __VA_ARGS__}

/* ---- The request ---- */

/* The params as the client sent them: JSON that has passed the strict check, "null" when there were
 * none. Valid while the request is. */
pillion_bytes pillion_params_raw(const pillion_request *req);

/* The params as a cJSON tree, parsed at the first call. It belongs to the request: do not delete it
 * and do not put parts of it into a reply (cJSON_Duplicate them). NULL when memory ran out or the
 * text holds what cJSON cannot (\u0000 or an unpaired surrogate in a string): a handler that
 * returns then without a reply has answered `invalid_params`. So no string of the tree is cut.
 * cJSON reads numbers as doubles; pillion_params_raw has every byte. */
const cJSON *pillion_params(pillion_request *req);

/* The structure that the request's params have filled, by the table of its method (pillion_param);
 * NULL when that has none, and before the handler runs: in a filter's `before`. It lives as long as
 * the request, with all that it points at, and may be read in a thread. Since 1.5. */
const void *pillion_args(const pillion_request *req);

/* The value of the request's header field `name`, in lower case, when it came by HTTP; of several,
 * of the first. data is NULL when there is none, and for requests that came otherwise. Since 1.5.
 */
pillion_bytes pillion_header(const pillion_request *req, const char *name);

/* The structure of the `method` statement that was called; NULL when the handler has no directives.
 * Since 1.2. */
void *pillion_method_config(const pillion_request *req);

/* True when the request may be run twice: its method says so, or the configuration does
 * (`idempotent on;`). Since 1.3. */
bool pillion_idempotent(const pillion_request *req);

/* The name by which the client called. */
const char *pillion_method_name(const pillion_request *req);

/* Another member of the request's object, as the client sent it: of {"in": "ping", "token": "x"}
 * pillion_member(req, "token") is the JSON text "x", quotes included. {NULL, 0} when there is none.
 * Of a name that is there twice, the first. Since 1.1. */
pillion_bytes pillion_member(const pillion_request *req, const char *name);

/* The whole body that the client sent. Since 1.1. */
pillion_bytes pillion_body(const pillion_request *req);

/* The request's id as JSON, or {NULL, 0}. The server puts it into the reply by itself. */
pillion_bytes pillion_request_id(const pillion_request *req);

/* The client's address: "192.0.2.1:50122", "[2001:db8::1]:50122" or "unix:". Behind a balancer, the
 * one that its PROXY header has told (`listen … proxy_protocol`). */
const char *pillion_peer(const pillion_request *req);

/* What the PROXY header has told of the client besides: the server's name that it asked for, "sni";
 * the protocol that it agreed on with the balancer, "alpn"; the common name of its certificate,
 * "cn", only if the balancer has verified that. NULL when it was not told, when the client is gone,
 * and for any other word. Since 1.5. */
const char *pillion_peer_name(const pillion_request *req, const char *what);

/* For how many milliseconds the client still waits for the answer: a request may have a member
 * `deadline` beside its params, the milliseconds from when it is read. 0: no longer; UINT64_MAX:
 * the client has not said. The server itself answers a deferred request `deadline_exceeded` then.
 * Ask before work that takes long or cannot be undone, and hand on what is left to servers behind.
 * Since 1.5. */
uint64_t pillion_deadline_ms(const pillion_request *req);

/* Where the request stands in a trace, as its caller says (W3C Trace Context): 55 characters,
 * "00-TRACE-SPAN-FLAGS" with 32, 16 and 2 hexadecimal digits; NULL when it says nothing, or nothing
 * valid. It is a member beside the params, a header field of HTTP, or in MCP's `params._meta`.
 * pillion_tracestate is the `tracestate` that came with it: printable ASCII, or NULL. Whoever calls
 * another server for this request hands both on. They last as long as the request. Since 1.5. */
const char *pillion_traceparent(const pillion_request *req);
const char *pillion_tracestate(const pillion_request *req);

/* The module whose handler this is. */
pillion_instance *pillion_self(const pillion_request *req);

/* Memory that lives as long as the request, aligned for any type and not zeroed; NULL when there is
 * none. */
void *pillion_alloc(pillion_request *req, size_t size);

/* A value of the request by its key: how a filter tells the handler, or another filter, what it has
 * found. Keys of modules begin with their name and a dot ("auth.user", by the filter of the same
 * name); what the pointer leads to is for the module to tell, and lives as long as the request:
 * pillion_alloc. The key is copied; NULL takes the value away. False without memory. Since 1.5. */
bool pillion_set_value(pillion_request *req, const char *key, void *value);

/* NULL when the request has no such value. Since 1.5. */
void *pillion_value(const pillion_request *req, const char *key);

/* ---- What is kept for a connection; since 1.5 ---- */

/* Why a value of a connection ends. */
typedef enum {
    PILLION_CONN_CLOSED = 1,   /* the client or the server has ended the connection */
    PILLION_CONN_MOVED = 2,    /* another worker takes it over: a reload, or its worker has aged */
    PILLION_CONN_STOPPING = 3, /* the worker ends, and the connection with it */
    PILLION_CONN_REPLACED = 4  /* another value has its key, or it was taken away */
} pillion_conn_end;

/* A value of the request's connection by its key, as pillion_set_value has them for the request:
 * what a client has told once, or what is dear to make. Keys of modules begin with their name and a
 * dot. The value is there for every later request of the connection, in each module and filter,
 * until `ended` (NULL: nothing is called): once, on the loop, when the connection ends or is moved,
 * or when another value or NULL takes its place (the same pointer again is no other value). No
 * request of the connection is under way then, nor does a thread of the pool work for one. Values
 * that were set last end first.
 *
 * The value lives in its worker, the connection may outlive that: after a reload, a crash or
 * another end of the worker it has no values, and pillion_conn_moved says true. `ended` is called
 * before another worker gets the connection (unless a thread works for a request that has timed
 * out): what is to be kept can be saved in a zone there, under pillion_conn_id. It is not called
 * when the worker dies.
 *
 * A request that another method has called (pillion_call) has its caller's connection. Behind a
 * proxy of HTTP the connection is the proxy's, and its requests may be of many people: what is
 * known of a person belongs to the request then. False without memory, and when the client is gone;
 * `ended` is not called then. Since 1.5. */
bool pillion_conn_set(pillion_request *req, const char *key, void *value,
                      void (*ended)(pillion_instance *self, void *value, pillion_conn_end why));

/* NULL when the connection has no such value. Since 1.5. */
void *pillion_conn_get(const pillion_request *req, const char *key);

/* True when another worker had the connection before this one: values may have been lost. Since
 * 1.5. */
bool pillion_conn_moved(const pillion_request *req);

/* Names the connection: the same in each worker that has it, and never another one's while the
 * server runs. 0 when the client is gone. Since 1.5. */
uint64_t pillion_conn_id(const pillion_request *req);

/* ---- The reply: exactly one for a request ----
 *
 * It has 128 MiB and 64 KiB at most, its header included, and a quarter of `arena_size` at most. A
 * larger one becomes `internal_error` and a line in the log. All texts and bytes that these
 * functions are given are copied, `out` and names included. */

/* Replies with `out` and a value that the reply takes over, whatever happens. NULL is a failure to
 * build it: the client gets `internal_error`. */
void pillion_reply(pillion_request *req, const char *out, cJSON *result);

/* Replies with JSON text as it is, byte for byte. It is copied. Text that is not strictly valid
 * JSON becomes `internal_error` and a line in the log. */
void pillion_reply_raw(pillion_request *req, const char *out, pillion_bytes result);

/* Replies with an object of what is in a structure, by the table that the row of the method has as
 * PILLION_GIVES. Clients are shown that, too: `rpc.describe`, `rpc.discover`, tools of agents and
 * `pillion doc`.
 *
 *     struct user {
 *         const char *name;
 *         int64_t age;
 *         bool age_known;
 *         pillion_array tags;
 *     };
 *
 *     static const pillion_param user_rows[] = {
 *         PILLION_PARAM(struct user, name, PILLION_STRING, .required = true),
 *         PILLION_PARAM(struct user, age, PILLION_INTEGER,
 *                       .given = offsetof(struct user, age_known)),
 *         PILLION_PARAM(struct user, tags, PILLION_STRING, .list = true),
 *         {0},
 *     };
 *
 *     {.name = "user", .handler = user, PILLION_GIVES(struct user, user_rows)},
 *
 * {"name": "Ada", "tags": []} is what comes of it with only a name in it. A row is left out where
 * the bool at its `given` is false, and one of STRING, TEXT, BYTES or JSON where it points at
 * nothing; the others are always there. `fallback` is of params alone.
 *
 * What the table says holds: a required row that is left out, an index that is no word's, infinity
 * and NaN, bytes that are no UTF-8 or no JSON, and what is beyond its bounds are mistakes. They are
 * logged, and the client gets `internal_error`; both name the member. Since 1.5. */
void pillion_reply_struct(pillion_request *req, const char *out, const void *structure);

/* Replies with an error: {"out": "error", "result": {"code": code, "message": …}}. Codes of your
 * own are welcome; PILLION_INVALID_PARAMS is for params that your method cannot take. The message
 * is cut where it is longer than a reply may be, or than there is memory for. */
void pillion_fail(pillion_request *req, const char *code, const char *format, ...)
    PILLION_PRINTF(3, 4);

/* Replies with an error whose result is JSON text as it is, byte for byte: {"out": "error",
 * "result": result}. It is copied, and should be an object with a code and a message; `code` (NULL:
 * PILLION_INTERNAL_ERROR) is what filters and the server's counts see. Text that is not strictly
 * valid JSON becomes `internal_error` and a line in the log. For errors that somebody else has
 * made. Since 1.3. */
void pillion_fail_raw(pillion_request *req, const char *code, pillion_bytes result);

/* As pillion_fail, and tells the client when another try is worth it: the result has a member
 * `retry_after` too, in seconds, after `retry_ms` milliseconds. 0 gives no such member, also with
 * PILLION_OVERLOADED, which has one of a second when it comes by pillion_fail: for a request that
 * has done something, and must not simply be sent again. Since 1.5. */
void pillion_fail_retry(pillion_request *req, const char *code, uint64_t retry_ms,
                        const char *format, ...) PILLION_PRINTF(4, 5);

/* The same without a tree: the result is written as it goes, quoted and checked, whatever its size.
 * Since 1.5.
 *
 *     pillion_begin_object(req, "user");
 *     pillion_put_string(req, "name", user->name);
 *     pillion_begin_array(req, "sizes");
 *     for (size_t i = 0; i < user->count; i++)
 *         pillion_put_number(req, NULL, user->sizes[i]);
 *     pillion_end(req);
 *     pillion_end(req);
 *
 * The first pillion_begin_… begins the result, of a reply whose `out` is its name, and the
 * pillion_end that ends it replies. What is in between is a member of the object that was begun
 * last, by its name, or with NULL for a name an element of the array. A handler that finds on its
 * way that it must fail calls pillion_fail and returns: any other answer drops what is written. A
 * request that is deferred keeps it, to be gone on with when it is resumed. Mistakes, such as a
 * member without a name, are logged, and the client gets `internal_error`; that a name is not there
 * twice is not checked.
 *
 * string: NUL-terminated UTF-8; text: UTF-8 which may hold NULs; bytes: any, as base64 (RFC 4648
 * section 4). NULL becomes null, and bytes that are no UTF-8 become U+FFFD. number: infinity and
 * NaN become null. json: JSON text, which is checked. struct: a structure, by a table that is its
 * method's PILLION_GIVES, or in it (PILLION_MEMBERS); see pillion_reply_struct. */
void pillion_begin_object(pillion_request *req, const char *name);
void pillion_begin_array(pillion_request *req, const char *name);
void pillion_end(pillion_request *req);
void pillion_put_string(pillion_request *req, const char *name, const char *value);
void pillion_put_text(pillion_request *req, const char *name, pillion_bytes value);
void pillion_put_bytes(pillion_request *req, const char *name, pillion_bytes value);
void pillion_put_integer(pillion_request *req, const char *name, int64_t value);
void pillion_put_number(pillion_request *req, const char *name, double value);
void pillion_put_flag(pillion_request *req, const char *name, bool value);
void pillion_put_null(pillion_request *req, const char *name);
void pillion_put_json(pillion_request *req, const char *name, pillion_bytes value);
void pillion_put_struct(pillion_request *req, const char *name, const pillion_param *table,
                        const void *structure);

#define PILLION_INVALID_PARAMS "invalid_params"
#define PILLION_INTERNAL_ERROR "internal_error"
#define PILLION_OVERLOADED     "overloaded"

#define PILLION_DEADLINE_EXCEEDED "deadline_exceeded" /* since 1.5 */

/* ---- Answering later; since 1.2 ---- */

/* Names a deferred request. A number, so that it can be kept anywhere and never dangles; 0 is none.
 */
typedef uint64_t pillion_token;

/* From a handler: it will return without an answer, which comes later. The request, its params and
 * what pillion_alloc gave stay valid until it is answered; the pointer `req` does not:
 * pillion_resume gives another one. Requests of other clients go on meanwhile, and so do requests
 * of this client that have an id.
 *
 * After `timeout_ms` (0: the directive defer_timeout) the server answers `timeout` itself, and
 * earlier `deadline_exceeded` if the client waits no longer (pillion_deadline_ms). Returns
 * 0 when the request cannot be deferred; it is answered then, and the handler just returns. */
pillion_token pillion_defer(pillion_request *req, uint64_t timeout_ms);

/* Gives a deferred request back, to be answered (or deferred anew) before the callback or handler
 * that resumes it returns. NULL when it timed out, its deadline has passed, or its client is gone:
 * there is nothing to do then. A token gives its request back once; 0 is logged as a mistake. */
pillion_request *pillion_resume(pillion_token token);

/* Has `cancelled` called, once, when the request times out, its deadline passes or its client is
 * gone, so that work for it can be given up. Not called once it is resumed. Returns false when the
 * token leads nowhere already.
 *
 * A client is gone when its connection is reset, and when it is closed: over HTTP and Unix sockets
 * that is known at once, over other protocols within about a minute, because a client that has only
 * finished sending may still wait for its replies (the directive half_close).
 *
 * A request has one: a second call takes the place of the first, which is logged as a mistake
 * unless it is the same, or the first was taken away by NULL. */
bool pillion_on_cancel(pillion_token token, void (*cancelled)(void *data), void *data);

/* Has `ended` called, once, when the request is over: it is answered, in whatever way, or its
 * client is gone, or its worker stops; and no thread of the pool works for it any more. What
 * pillion_alloc gave is still there then, and is gone afterwards. A request may have many: the last
 * is called first. Also from filters. False without memory, and from `ended` itself; `ended` is not
 * called then. Not called when the worker dies. Since 1.5. */
bool pillion_on_end(pillion_request *req, void (*ended)(void *data), void *data);

/* Says whether a deferred request may still be run from its handler on by another worker, should
 * this one die now: nothing has been done for it that must not be done twice, because it waits for
 * a connection, say. Without that it is answered `module_crashed` then, unless its method is
 * idempotent. Ends with pillion_resume. Returns false when the token leads nowhere. Since 1.4. */
bool pillion_rerunnable(pillion_token token, bool rerunnable);

/* From a handler: defers the request, calls another method of the same server, and then `done` on
 * the loop, which answers `req`, or calls another method. `code` is NULL when `result` is the
 * method's result; otherwise it is the error's code, and `result` what a client would have got with
 * it, to be handed on by pillion_fail_raw. Both last until `done` returns. `req` is NULL when the
 * request has timed out (defer_timeout), its deadline has passed, or its client is gone; `done` is
 * called all the same, to free what is in `data`, and the call is cancelled then. What
 * pillion_alloc gave lasts until then.
 *
 * The method runs once the handler has returned, with its filters, its timeout and the deadline of
 * the caller; pillion_member, pillion_header and pillion_peer are those of the client's request.
 * `params` are JSON, and are copied; {NULL, 0} is null. Methods may call methods that call methods,
 * eight deep. A method that crashes is put to blame for it, and the client's request is answered
 * `module_crashed`. Since 1.5. */
void pillion_call(pillion_request *req, const char *method, pillion_bytes params,
                  void (*done)(pillion_request *req, const char *code, pillion_bytes result,
                               void *data),
                  void *data);

/* ---- Work that blocks; since 1.2 ---- */

/* From a handler: defers the request, for `timeout_ms` as pillion_defer does, has `work(data)` run
 * in a thread of the worker's pool, and then `done(req, data)` on the worker's loop, which answers
 * `req`. That is NULL when the request has timed out, its deadline has passed, or its client is
 * gone; `done` is called all the same, to free what is in `data`. What pillion_alloc gave lasts
 * until then, and so do the request's bytes as the handler has seen them (pillion_params_raw,
 * pillion_body, …), also for `work`: `data` may point at all of them. `done` may do what a handler
 * may: it may offload, defer or call once more.
 *
 * `work` may block. Of this header it, and any thread that the module makes, may call:
 *
 *   pillion_post, pillion_log, pillion_write_now, pillion_printable, pillion_work_cancelled,
 *   pillion_count, pillion_observe, pillion_malloc, pillion_realloc, pillion_free,
 *   pillion_json_check, _member, _string, _quote and _integer,
 *   pillion_zone_open, _update, _get, _set, _add, _delete and _each, pillion_service_is,
 *   pillion_config, pillion_state, pillion_worker, pillion_worker_count, pillion_generation.
 *
 * All others take a request, a token, a handle or a service, and belong to the loop, but for
 * pillion_error and pillion_set_state, which are for hooks. Called in a thread, they do nothing,
 * return NULL, 0, false or an empty string, and are logged. cJSON's functions may be called for
 * trees that no other thread changes: for `work`'s own, and to read the tree that the handler had
 * of pillion_params.
 *
 * When all threads are busy and the queue is full (pool_threads, pool_queue), the request is
 * answered `overloaded` at once; `done` is not called then, so what `data` owns outside of the
 * request's memory is for pillion_on_end to free. Work that still waits for a thread when the
 * request's deadline passes is not begun, and `done` is called with NULL (since 1.5; work of
 * modules built for an earlier interface is done). A request whose work had to wait for a thread,
 * and has not begun when its worker dies, is run by another worker from its handler on: what must
 * not be done twice belongs into `work` (since 1.4; of modules built for an earlier interface it is
 * answered `module_crashed`). */
void pillion_offload(pillion_request *req, uint64_t timeout_ms, void (*work)(void *data),
                     void (*done)(pillion_request *req, void *data), void *data);

/* The same without a request: for what a module does by itself, from a hook, a timer or a handler.
 * `done(self, data)` is called on the loop; NULL: nothing is. Which pool's threads do it is for the
 * configuration to say (`load_module PATH pool=NAME`). It may take as long as it likes, and keeps
 * its thread for so long; a worker that ends waits a second for it. False, and nothing is called,
 * when all threads are busy and the queue is full, without memory, and in `check`. Since 1.5. */
bool pillion_run(pillion_instance *self, void (*work)(void *data),
                 void (*done)(pillion_instance *self, void *data), void *data);

/* In `work`: true when nobody waits for it any more, because its request has timed out, its
 * deadline has passed or its client is gone, or because the worker stops. Work that takes long asks
 * now and then, and returns. False outside of `work`. Since 1.5. */
bool pillion_work_cancelled(void);

/* Has `callback` called on the worker's loop, soon. Any thread may call this, also one that the
 * module has made. Returns false when memory ran out. */
bool pillion_post(pillion_instance *self, void (*callback)(pillion_instance *self, void *data),
                  void *data);

/* ---- Timers and descriptors; since 1.2 ---- */

/* Names a timer, the watch of a descriptor or a connection of TLS: a number, as tokens are. 0 is
 * none. */
typedef uint64_t pillion_handle;

/* Calls `callback` after `after_ms`, and then every `every_ms` (0: never again). A timer of 0 ms
 * fires once all requests and descriptors that are ready now have been handled: it is for
 * continuing long work, and for doing once what all these requests have asked for. Returns 0 where
 * there is no loop: in `check`. */
pillion_handle pillion_timer(pillion_instance *self, uint64_t after_ms, uint64_t every_ms,
                             void (*callback)(pillion_instance *self, void *data), void *data);

/* Calls `callback` every `every_ms` in one worker of the server alone: for what is to be done once,
 * however many workers there are. Each worker has to set it, in `start`; the one with the lowest
 * place makes the calls, and another does when that worker ends, dies or is replaced. The calls are
 * due at multiples of the period on a clock of the machine's: so the first comes after a period at
 * most, and reloads put none of them off. A period in which workers change may be up to twice as
 * long, or shorter. Returns 0 as pillion_timer does, and when `every_ms` is 0. Since 1.5. */
pillion_handle pillion_server_timer(pillion_instance *self, uint64_t every_ms,
                                    void (*callback)(pillion_instance *self, void *data),
                                    void *data);

#define PILLION_READ   1u /* there is something to read, or an end */
#define PILLION_WRITE  2u /* there is room to write */
#define PILLION_FAILED 4u /* an error or a hang-up; comes unasked */

/* Calls `callback` whenever the descriptor is ready, as poll(2) would say: it is called again until
 * what is there is read. A descriptor has one watch at a time, and closing it ends the watch.
 * Returns 0 with errno set when it cannot be watched. */
pillion_handle pillion_watch(pillion_instance *self, int fd, unsigned events,
                             void (*callback)(pillion_instance *self, int fd, unsigned events,
                                              void *data),
                             void *data);

/* Other events from now on. Returns false when the handle leads nowhere any more. */
bool pillion_watch_change(pillion_handle handle, unsigned events);

/* Ends a timer or a watch, or what pillion_tls_connect tells. Nothing happens when it is over
 * already. */
void pillion_cancel(pillion_handle handle);

/* The handle belongs to the request, and is cancelled when that is over, as pillion_on_end tells
 * it: so its `data` may be what pillion_alloc gave. False without memory, or when `handle` is 0.
 * Since 1.5. */
bool pillion_end_with(pillion_request *req, pillion_handle handle);

/* ---- Metrics and memory; since 1.3 ---- */

/* Adds to a metric of the module's, by its row in the table of metrics: a gauge may go down too.
 * Any thread may call this. */
void pillion_count(pillion_instance *self, unsigned metric, int64_t amount);

/* Counts a value in a histogram of the module's: in the first bucket whose bound it does not
 * exceed, and in the sum of all. Infinity and NaN are not counted, and logged. Any thread may call
 * this. Since 1.5. */
void pillion_observe(pillion_instance *self, unsigned metric, double value);

/* As malloc(3), realloc(3) and free(3), and counted: `rpc.stats` shows how much each module has.
 * Blocks are theirs alone: none may be given to free(3), or come from malloc(3). Any thread may
 * call these. */
void *pillion_malloc(pillion_instance *self, size_t size);
void *pillion_realloc(pillion_instance *self, void *block, size_t size);
void pillion_free(pillion_instance *self, void *block);

/* ---- JSON text; since 1.3 ---- */

/* True when the bytes are one JSON value as RFC 8259 has it, and nothing besides. Any thread may
 * call these two. */
bool pillion_json_check(pillion_bytes text);

/* The member of an object as it is written, {NULL, 0} when there is none; of a name that is there
 * twice, the first. For text that has passed pillion_json_check, as params have: nothing is parsed
 * into memory, and numbers keep all their digits. */
pillion_bytes pillion_json_member(pillion_bytes object, const char *name);

/* Writes what a JSON string says, such as a member of a request: without quotes and escapes, and
 * with a NUL behind it. Returns its size without that NUL; -1 when it is no string, holds an
 * unpaired surrogate, or needs more than `room` (as many bytes as it has as JSON are always
 * enough). A text may hold NULs of its own (\u0000): compare sizes too, and never by strcmp alone.
 * Any thread may call this. Since 1.4. */
long pillion_json_string(pillion_bytes text, char *to, size_t room);

/* Writes text as a JSON string: with its quotes, what has to be escaped escaped, bytes that are no
 * UTF-8 as U+FFFD, and a NUL behind it. Returns its size without that NUL; -1 when it needs more
 * than `room` (six times the text's bytes, and 3, are always enough). Any thread may call this.
 * Since 1.5. */
long pillion_json_quote(pillion_bytes text, char *to, size_t room);

/* The whole number that a JSON number is. It is decided on the digits: 1e3 and 1000.0 are whole,
 * 1e-400 and 1.00000000000000000001 are not, however close a double would come. False when it is
 * none, or outside of 64 bits. Any thread may call this. Since 1.5. */
bool pillion_json_integer(pillion_bytes text, int64_t *value);

/* ---- Zones; since 1.2 ---- */

/* Memory that all workers share, and that outlives them, and with `file=PATH` the server, too:
 * `zone NAME SIZE [file=PATH];` in the configuration. It holds values by their keys. A key has 1 to
 * 216 bytes, a value up to an eighth of the zone's size. What was used longest ago makes room for
 * what is new. Any thread may call these.
 *
 * A key and its value that have 216 bytes together at most take 256 bytes of the zone, and one call
 * takes well below a microsecond. A larger value lies in parts of 224 bytes; each call copies all
 * of it (about 200 microseconds for a megabyte), and it is gone when one of its parts had to make
 * room. Before 1.5, key and value had 216 bytes together at most. */
typedef struct pillion_zone pillion_zone;

/* As `ttl_ms`, of any of these functions: the value expires that long after it was made, whatever
 * changes it or its size meanwhile, and without it, that long after the last change. For what is
 * counted in a window of time. A server before 1.5 takes it for a very long time. Since 1.5. */
#define PILLION_ONCE(ttl_ms) ((uint64_t)(ttl_ms) | (uint64_t)1 << 63)

/* NULL when the configuration has no zone of that name. Valid for the process's life. */
pillion_zone *pillion_zone_open(pillion_instance *self, const char *name);

/* Changes a value under the zone's lock: `update` is given the `value_size` bytes at `value`,
 * aligned for 8 bytes, and zeroed when they are `fresh` (there were none, or of another size). It
 * must be short, and use no zone. The value expires after `ttl_ms` (0: never). A worker that dies
 * in it leaves what it has written of a small value, and nothing of a large one. `update` gets a
 * copy of a large value, which is written back, all under the lock: nobody else uses the zone
 * meanwhile. Returns false when key or value are too large, or there is no memory for the copy. */
bool pillion_zone_update(pillion_zone *zone, const void *key, size_t key_size, uint64_t ttl_ms,
                         size_t value_size, void (*update)(void *value, bool fresh, void *data),
                         void *data);

/* Copies a value, `room` bytes of it at most. Returns its size, which may be more than `room`, or
 * -1 when there is none; then `value` may have been written to. Others use the zone while a large
 * value is copied; the copy is of one value all the same. */
long pillion_zone_get(pillion_zone *zone, const void *key, size_t key_size, void *value,
                      size_t room);

/* Sets a value. A worker that dies in it leaves the former large value, or none in place of a small
 * one. Returns false when key or value are too large. */
bool pillion_zone_set(pillion_zone *zone, const void *key, size_t key_size, const void *value,
                      size_t value_size, uint64_t ttl_ms);

/* Adds to a counter, which begins at 0, and returns what it is now. */
int64_t pillion_zone_add(pillion_zone *zone, const void *key, size_t key_size, int64_t delta,
                         uint64_t ttl_ms);

void pillion_zone_delete(pillion_zone *zone, const void *key, size_t key_size);

/* Calls `each` for every value that has not expired, in no order, until it returns false. It gets
 * copies, and may use the zone; what others change meanwhile it may see or not. A large zone takes
 * long to walk through: do it in a thread (pillion_run). Since 1.5. */
void pillion_zone_each(pillion_zone *zone,
                       bool (*each)(pillion_bytes key, const void *value, size_t value_size,
                                    void *data),
                       void *data);

/* ---- Services: servers that a registry or DNS knows; since 1.6 ---- */

/* The servers that are registered under one name, or that DNS gives for it:
 * "registry:/pillion/shop" or "srv:_pillion._tcp.shop.example", as a directive has it. A process of
 * the server's own finds them, and goes on with the last that it knew when the registry is away. */
typedef struct pillion_service pillion_service;

/* One of those servers. It is there, strings included, until the callback that shows it returns. */
typedef struct pillion_service_server {
    size_t size;         /* of this structure, as the server has it: later ones append to it */
    const char *address; /* 10.0.0.1:8080, [::1]:8080 or unix:PATH */
    uint32_t weight;     /* 1 to 1000; 100 is usual */
    uint64_t age_ms;     /* since it was seen first; UINT64_MAX: it was in the first answer */
} pillion_service_server;

/* True for a text that names a service. */
bool pillion_service_is(const char *name);

/* Has a service looked for from now on, and `changed` (NULL: nothing) called on the worker's loop
 * soon after its servers have changed, for the first time when they are known. In `start`, of the
 * module, of a method or of a filter; in `check` it only looks at the name. NULL with the reason in
 * `error` (NULL: nobody asks): it is no name of a service, or there is no `registry` in the
 * configuration. Valid for the process's life, and so has `data` to be; `name` is copied. A name
 * that is opened twice is two services, of which each has its own `changed`. No servers are found
 * where no module of the process needs the network (PILLION_NEEDS_NETWORK). */
pillion_service *pillion_service_open(pillion_instance *self, const char *name,
                                      void (*changed)(pillion_instance *self, void *data),
                                      void *data, pillion_error_text *error);

/* A number that changes with the servers, in one load from memory: for a look at each request. 0
 * while nobody knows whether there are any: requests may wait for `changed` then. 0 of NULL. */
uint64_t pillion_service_version(pillion_service *service);

/* Calls `each` for every server that offers `method` (NULL: for all) until it returns false. Of a
 * service that is NULL, or of which nothing is known, there are none. It copies what has changed
 * since the last call, and costs as much as there are servers: call it when the version is another
 * one. */
void pillion_service_each(pillion_service *service, const char *method,
                          bool (*each)(const pillion_service_server *server, void *data),
                          void *data);

/* ---- TLS to servers; since 1.6 ---- */

/* How TLS is spoken with servers behind: a member of a configuration structure, which the rows of
 * PILLION_TLS_DIRECTIVES fill. Of a structure that a module fills by itself, zeros are what the
 * directives have for their defaults. */
typedef struct pillion_tls_settings {
    bool on;                       /* for the module: pillion_tls_open does not look at it */
    int unverified;                /* 1: servers may have any certificate, which is for tests */
    const char *name;              /* whose it has to be; NULL: pillion_tls_connect says */
    pillion_file trusted;          /* PEM: who may have signed it; none: the system's authorities */
    pillion_file certificate, key; /* PEM: the module's own, where servers want one */
    uint64_t handshake_timeout_ms; /* connecting included; 0: ten seconds */
} pillion_tls_settings;

/* The words of `ssl_verify`. */
__attribute__((unused)) static const char *const pillion_tls_verify_words[] = {"on", "off", NULL};

/* Rows for a table of directives, without a comma behind: `ssl on;` and what belongs to it.
 * `member` is the pillion_tls_settings of the structure `structure`. */
#define PILLION_TLS_DIRECTIVES(structure, member)                                                 \
    {.name = "ssl",                                                                               \
     .type = PILLION_FLAG,                                                                        \
     .offset = offsetof(structure, member.on),                                                    \
     .fallback = "off",                                                                           \
     .summary = "Speaks TLS with the servers behind."},                                           \
        {.name = "ssl_verify",                                                                    \
         .type = PILLION_ENUM,                                                                    \
         .offset = offsetof(structure, member.unverified),                                        \
         .fallback = "on",                                                                        \
         .words = pillion_tls_verify_words,                                                       \
         .summary = "Whether their certificates have to be valid, signed by a trusted authority " \
                    "and for their name; `off` is for tests alone."},                             \
        {.name = "ssl_name",                                                                      \
         .type = PILLION_STRING,                                                                  \
         .offset = offsetof(structure, member.name),                                              \
         .summary = "The name that their certificates have to be for, and by which they are "     \
                    "asked (SNI); without it, the host of their address."},                       \
        {.name = "ssl_trusted_certificate",                                                       \
         .type = PILLION_FILE,                                                                    \
         .offset = offsetof(structure, member.trusted),                                           \
         .summary = "Certificates of the authorities that are trusted (PEM); without it, the "    \
                    "system's."},                                                                 \
        {.name = "ssl_certificate",                                                               \
         .type = PILLION_FILE,                                                                    \
         .offset = offsetof(structure, member.certificate),                                       \
         .summary = "The certificate that is shown to servers that ask for one (PEM), followed "  \
                    "by those that lead to its authority."},                                      \
        {.name = "ssl_certificate_key",                                                           \
         .type = PILLION_FILE,                                                                    \
         .offset = offsetof(structure, member.key),                                               \
         .summary = "Its key (PEM), without a passphrase; the file may be root's alone."},        \
    {                                                                                             \
        .name = "ssl_handshake_timeout", .type = PILLION_TIME,                                    \
        .offset = offsetof(structure, member.handshake_timeout_ms), .fallback = "10s", .min = 1,  \
        .max = 3600000, .summary = "How long a handshake may take; then the connection is ended." \
    }

/* What connections by the same settings share. */
typedef struct pillion_tls pillion_tls;

/* Reads certificates and keys, and loads OpenSSL, which the module does not need by itself. In
 * `check` and in `start`. `size` is that of the settings, sizeof(pillion_tls_settings); they are
 * copied. `protocol` is what is offered by ALPN (RFC 7301), 1 to 255 bytes, or NULL; whether a
 * server has taken it up is not told. NULL with the reason in `error` (NULL: nobody asks). Valid
 * for the process's life. */
pillion_tls *pillion_tls_open(pillion_instance *self, const pillion_tls_settings *settings,
                              size_t size, const char *protocol, pillion_error_text *error);

/* Begins TLS over `fd`, a stream socket that is connected or about to be, and writes a descriptor
 * to `*plain`: a non-blocking stream socket, close-on-exec (one end of a pair), over which the
 * module speaks with the server in plain bytes. `fd` is the server's from then on, and no watch of
 * the module's is on it any more. A connection has three descriptors. `name` is the host's, a name
 * or an address without a port, by which the server is asked and verified unless the settings have
 * another; it is copied.
 *
 * The module closes `*plain` like any descriptor, at any time. A handshake that is not done is
 * given up then; what was written since it was done is still sent, for five seconds, and while the
 * worker lives: it does not wait for that where it ends.
 *
 * `told` is called, and never before this returns, with NULL when the handshake is done: nothing
 * that is written before is sent before, and nothing may be written that the server must not get
 * unverified. It is called with the reason, a sentence without a full stop, which lasts until it
 * returns, when the handshake fails or TLS breaks later; then `*plain` ends, too, and is the
 * module's to close. A reason that begins with "TLS: " may have names in it, of certificates and
 * files, that are the log's and not the client's; any other one is the network's. Where the server
 * ends the connection, `*plain` only ends: also where it does not say so in TLS (close_notify), as
 * many do not. So a protocol has to tell by itself that a message is whole, or somebody on the way
 * may cut it.
 *
 * The handle is for pillion_cancel, before what `data` leads to ends: `told` is not called any more
 * then, and the connection goes on. pillion_end_with does so at a request's end. It leads nowhere
 * when the connection is over.
 *
 * 0 with errno set when it cannot begin; then `fd` is the module's still, and `*plain` is not
 * written to: EINVAL in `check`, where no loop is, and without a name, `plain` or `told`. */
pillion_handle
pillion_tls_connect(pillion_tls *tls, int fd, const char *name, int *plain,
                    void (*told)(pillion_instance *self, const char *why, void *data), void *data);

/* ---- Filters; since 1.1 ---- */

/* The structure of the `filter` statement that runs. NULL outside of filters. */
void *pillion_filter_config(const pillion_request *req);

/* In `after`: the error's code, NULL when the answer is no error; the reply's size in bytes, its
 * frame's header included; and the time since the first filter saw the request. */
const char *pillion_error_code(const pillion_request *req);
size_t pillion_reply_size(const pillion_request *req);
uint64_t pillion_elapsed_ns(const pillion_request *req);

/* ---- The module in its process ---- */

/* The configuration structure, filled from the directives; NULL when the module has none. Any
 * thread may call this, and the four getters below. */
const void *pillion_config(const pillion_instance *self);

/* A pointer of the module's own, for what `start` makes and handlers use. NULL at first. */
void pillion_set_state(pillion_instance *self, void *state);
void *pillion_state(const pillion_instance *self);

/* The worker's place, 0 to pillion_worker_count() - 1; and the number of the configuration, counted
 * from 1 as it is reloaded. In `check` the place is -1. */
int pillion_worker(const pillion_instance *self);
int pillion_worker_count(const pillion_instance *self);
uint64_t pillion_generation(const pillion_instance *self);

/* Says why a hook failed. Always returns -1. */
int pillion_error(pillion_error_text *error, const char *format, ...) PILLION_PRINTF(2, 3);

/* The same, and points at the directive of this name in the configuration: in the block of the
 * module, or of the method or filter whose `start` it is. Where it is not written, the error points
 * at the block. Since 1.5. */
int pillion_error_at(pillion_error_text *error, const char *directive, const char *format, ...)
    PILLION_PRINTF(3, 4);

typedef enum {
    PILLION_LOG_ERROR = 0,
    PILLION_LOG_WARN = 1,
    PILLION_LOG_NOTICE = 2,
    PILLION_LOG_INFO = 3,
    PILLION_LOG_DEBUG = 4
} pillion_log_level;

/* Writes a line to the server's log, under the module's name. Any thread may call this. */
void pillion_log(const pillion_instance *self, pillion_log_level level, const char *format, ...)
    PILLION_PRINTF(3, 4);

/* A named value of a log line: text, or the number where there is no text. */
typedef struct pillion_log_field {
    const char *name; /* letters, digits, - and _; NULL ends the table */
    const char *text PILLION_0;
    int64_t number PILLION_0;
} pillion_log_field;

/* Writes a line about a request: with its method, client, id, and the ids of its trace and of its
 * caller's span (pillion_traceparent) where it has them, and with the module's own `fields`
 * (NULL: none). They are members of their own where `error_log` says `json`, and stand as
 * name=value behind the message elsewhere. Since 1.3. */
void pillion_log_request(const pillion_request *req, pillion_log_level level,
                         const pillion_log_field *fields, const char *format, ...)
    PILLION_PRINTF(4, 5);

/* Writes `text`, of a client say, as a line of a log or a terminal may hold it: control characters
 * and those that change the direction of text as JSON escapes, \u001b say, bytes that are not UTF-8
 * as U+FFFD. JSON on one line stays the same JSON. As many whole characters as fit `room` bytes;
 * returns how many bytes those are. The functions above do this by themselves. Any thread may call
 * this. Since 1.4. */
size_t pillion_printable(pillion_bytes text, char *to, size_t room);

/* Writes to a pipe, a FIFO, a terminal or a socket without waiting for whoever reads it, also where
 * others have it open as well, so that it must not be made non-blocking. Returns how many bytes
 * were written, or -1 with errno: EAGAIN when none fits. Up to PIPE_BUF bytes go into a pipe whole
 * or not at all. Any thread may call this. Since 1.4. */
long pillion_write_now(int fd, const void *data, size_t size);

/* ---- The server, seen from inside ---- */

/* Each gives a new tree that the caller owns (and can reply with), or NULL when memory ran out.
 *
 * methods:  [{"name", "summary", "module"}], the methods of the request's server, by name.
 * describe: {"name", "summary", "module", "version", "params", "result"} of one of them, or NULL
 *           when there is no such method.
 * health:   {"status": "ok", "generation", "workers", …}.
 * openrpc:  the methods as an OpenRPC document, for `rpc.discover`. Since 1.5.
 * stats:    counters of the whole server: see docs/protocols.md, `rpc.stats`. */
cJSON *pillion_server_methods(pillion_request *req);
cJSON *pillion_server_describe(pillion_request *req, const char *method);
cJSON *pillion_server_health(pillion_request *req);
cJSON *pillion_server_openrpc(pillion_request *req);
cJSON *pillion_server_stats(pillion_request *req);

#ifdef __cplusplus
}
#endif

#endif
