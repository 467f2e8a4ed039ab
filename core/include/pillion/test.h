/* <pillion/test.h>: a module's methods and filters called from a test program, without a server, a
 * worker or a socket. For unit tests with check (https://libcheck.github.io/check), or any other
 * framework:
 *
 *     #include <check.h>
 *     #include <pillion/test.h>
 *
 *     START_TEST(somebody_is_greeted)
 *     {
 *         ck_assert_pstr_eq(pillion_test_start("load_module ./geo.so { greeting Hi; }",
 *                                              "method geo;"), NULL);
 *         ck_assert_result("geo", "{\"name\": \"Ada\"}", "\"Hi, Ada!\"");
 *         ck_assert_error("geo", "{\"name\": 5}", "invalid_params");
 *         pillion_test_stop();
 *     }
 *     END_TEST
 *
 *     cc -o test_geo test_geo.c $(pkg-config --cflags --libs pillion-test check)
 *
 * Everything runs in the calling process and thread, in a debugger or under valgrind as well, with
 * the configuration's own grammar, and as in a server's only worker: what is deferred is waited
 * for, threads, timers, descriptors, zones, services and TLS to servers work, filters run, methods
 * call methods, and `rpc.stats` counts where the module rpc is loaded. The watchdog is missing, and
 * so is what takes listeners: header fields of HTTP, batches, names that a balancer tells. A module
 * that crashes takes the test with it; check runs each test in a process of its own for that. Only
 * one thread may call these functions.
 *
 * The bytes of a request, such as its params, pillion_args, the request itself and what
 * pillion_alloc gave, are blocks of malloc(3)'s of their own, and are freed when it is over: so
 * valgrind and AddressSanitizer tell which line of a module still reads them, and where they ended.
 *
 * Texts that are given back stay valid until pillion_test_stop. Where no modules run, because they
 * were not started, or not successfully, or were stopped, each call's reply is the error
 * `not_started`. */
#ifndef PILLION_TEST_H
#define PILLION_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *body;    /* the whole reply, JSON; "" when a notification is answered */
    const char *out;     /* its name; NULL for a result of JSON-RPC, which has none */
    const char *result;  /* its result, JSON as the method gave it */
    const char *code;    /* of an error; NULL when it is none, or holds a NUL */
    const char *message; /* likewise */
} pillion_test_reply;

/* Loads modules, checks and starts them. `main_text` is what would stand in the configuration
 * outside of `server`, paths relative to the current directory; `server_text` what would stand in
 * it, without `listen`. Returns NULL, or what is wrong, as `pillion -t` says it. */
const char *pillion_test_start(const char *main_text, const char *server_text);

/* Calls a method with params as JSON text (NULL: none), and waits for its reply; and the same for a
 * whole request, with members besides "in" and "params". A text that is no request is answered as a
 * server would answer it. */
pillion_test_reply pillion_test_call(const char *method, const char *params);
pillion_test_reply pillion_test_request(const char *body);

/* For what happens meanwhile: begins a request, tells whether it is answered, and waits for the
 * reply. A request that waits is answered `timeout` after defer_timeout. The reply of a number that
 * pillion_test_begin has not given since modules were started is the error `not_begun`; no number
 * is given twice. Of a request whose client has left there is no reply: all its texts are NULL. */
unsigned pillion_test_begin(const char *body);
bool pillion_test_answered(unsigned request);
pillion_test_reply pillion_test_finish(unsigned request);

/* The client of a request that waits is gone: what its module has given to pillion_on_cancel is
 * called. There will be no reply to it. */
void pillion_test_leave(unsigned request);

/* A client connects, and gets a number: requests that begin from now on are that client's, and so
 * is what modules keep for its connection (pillion_conn_set). Those that begin before are client
 * 0's, which is there from the start. pillion_test_client has other requests begin as another
 * client's, which must not be gone. */
unsigned pillion_test_connect(void);
void pillion_test_client(unsigned client);

/* The client is gone: its requests that wait end as by pillion_test_leave, and then what is kept
 * for its connection (PILLION_CONN_CLOSED). In the place of client 0 comes a new one at once. */
void pillion_test_disconnect(unsigned client);

/* The client's connection is another worker's from now on, as after a reload: what was kept for it
 * ends (PILLION_CONN_MOVED), and pillion_conn_moved is true. A server does so once none of its
 * requests is under way. */
void pillion_test_move(unsigned client);

/* What a module has counted so far: a metric of its own, by its name in the table, or one that the
 * server counts for it, such as "memory_bytes". -1 when there is none. */
int64_t pillion_test_metric(const char *module, const char *name);

/* How many values a histogram has of those up to `bound`: one of its own, or INFINITY for all of
 * them. -1 when there is none. `sum` (NULL: not asked) becomes the sum of all. */
int64_t pillion_test_histogram(const char *module, const char *name, double bound, double *sum);

/* Lets timers, descriptors and threads work for so long. */
void pillion_test_run(uint64_t ms);

/* A server of a service, as a registry would know it. */
typedef struct {
    const char *address;        /* 10.0.0.1:8080, [::1]:8080 or unix:PATH */
    unsigned weight;            /* 1 to 1000; 0: 100, as is usual */
    uint64_t age_ms;            /* since it was seen first; UINT64_MAX: in the first answer */
    const char *const *methods; /* that it offers, NULL behind the last; NULL: any */
} pillion_test_server;

/* These are the servers of a service from now on ("registry:/pillion/shop"), which before nobody
 * knew; it may be called before pillion_test_start. Modules are told (pillion_service_open) as soon
 * as time passes: while a reply is waited for, or in pillion_test_run. Returns NULL, or what is
 * wrong. */
const char *pillion_test_service(const char *name, const pillion_test_server *servers,
                                 size_t count);

/* Calls each module's `reopen`, as `pillion -s reopen` does. Returns NULL, or what went wrong, a
 * line for each module. */
const char *pillion_test_reopen(void);

/* Stops the modules: requests that still wait are answered `timeout`, as by a worker at
 * drain_timeout, so what their modules gave to pillion_on_cancel is called; a second is given to
 * threads; then each module's `stop` is called. Zones and what is in them end, services, and
 * counts of rpc.stats; modules stay loaded, and their static variables keep their values. Returns
 * false when a thread's work does not end: nothing is freed then. */
bool pillion_test_stop(void);

/* With check: a call gives exactly this result, or an error with this code. */
#define ck_assert_result(method, params, expected) \
    ck_assert_str_eq(pillion_test_call(method, params).result, expected)
#define ck_assert_error(method, params, expected) \
    ck_assert_pstr_eq(pillion_test_call(method, params).code, expected)

#ifdef __cplusplus
}
#endif

#endif
