/* One server, and one client in the middle of a request all the time, for tests in which a function
 * that the server calls fails (preload/calls.c): what the tests of that share.
 *
 * What is wrong does not end the test: the functions return false, and the first reason is kept in
 * trial_problem, so that a test can go on with another server. */
#ifndef PILLION_TESTS_HARNESS_TRIAL_H
#define PILLION_TESTS_HARNESS_TRIAL_H

#include "harness.h"
#include "preload/plan.h"

extern struct server *trial_server;
extern struct plan *trial_plan;
extern char trial_problem[4096]; /* "": none */

/* Keeps the reason, unless there is one already. Returns false. */
__attribute__((format(printf, 1, 2))) bool trial_wrong(const char *format, ...);

/* Waits until `condition` holds; returns from the function that it is in otherwise. */
#define within(condition, ...)                     \
    do {                                           \
        int64_t until_ = deadline_in(PATIENCE_MS); \
        while (!(condition)) {                     \
            if (deadline_over(until_))             \
                return trial_wrong(__VA_ARGS__);   \
            look_again();                          \
        }                                          \
    } while (0)

/* Makes a server with the library preloaded and its plan; it is not started. */
void trial_make(void);

/* Starts the server, unless it runs, and connects the client. */
bool trial_serve(void);

/* The steps of that: starts the server; waits until it serves the client or has ended. */
void trial_spawn(void);
bool trial_connects(void);

/* The client's request is answered, and it begins another; another client is served. */
bool trial_goes_on(void);
bool trial_another_pings(void);

/* All processes are there, and both of these hold. */
bool trial_is_whole(void);

/* Asks the control socket: the answer, "" when it was closed without one, NULL when there is none.
 */
const char *trial_order(const char *verb);

/* A process ends as by a crash: ("worker", 0). */
bool trial_kill(const char *name, int number);

/* True when the master has ended; trial_server->status is set then. */
bool trial_has_ended(void);

/* Ends the server in order; ends whatever is left of it. */
bool trial_stops(void);
void trial_remove(void);

/* The client leaves. */
void trial_leave(void);

#endif
