/* The bare client: sends the same request over and over, as one core can. Its counterpart for users
 * is `pillion bench`.
 *
 *     load PORT CONNECTIONS IN_FLIGHT SECONDS [OPTION VALUE]...
 *         --request JSON       the body of each request (a ping of about 40 bytes)
 *         --as frame|line|http what stands around it, and around a reply (frame)
 *         --path /PATH         where HTTP's requests are posted (/)
 *         --field "NAME: TEXT" one more line of their heads; may be given again
 *         --body BYTES         a ping whose params are a string, the whole body BYTES long
 *         --raw-request TEXT   the request with all that is around it; needs --reply-size
 *         --reply-size BYTES   of one reply to them
 *         --connect yes        each connection is closed after one batch, and made anew
 *         --rate R             so many requests a second, each sent when it is due
 *         --warm-up SECONDS    before the measurement begins (0.2)
 *         --cpu-of PID,PID...  whose CPU time is measured too
 *         --tls yes            inside TLS, with whatever certificate
 *         --handshakes whole|resumed  of TLS, each on a connection of its own, and no requests
 *
 * Without a rate each connection has a batch of requests in flight, and sends the next one when
 * every reply to the last one is there; a latency is that of a batch. With a rate it is that of a
 * request, from the moment at which it was due.
 *
 * Prints one line of JSON: requests, seconds, microseconds, the servers' nanoseconds of CPU. Every
 * reply must be as long as the first one, and begin and end as it does; that one must be no error.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS    256
#define SILENT_NS 5000000000u /* a server that does not answer for so long has failed */

struct plan plan;
int epoll;

static struct result result;
static struct lane *lanes;
static uint64_t begun_ns;    /* the loop's start, when a rate's first request is due */
static uint64_t measured_ns; /* requests that are due earlier belong to the warm-up */

uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void load_fail(const char *what)
{
    fprintf(stderr, "load: %s%s%s\n", what, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    exit(EXIT_FAILURE);
}

/* ---- The closed loop ---- */

static void batch_begin(struct lane *lane)
{
    lane->began_ns = clock_ns();
    lane_ask(lane, plan.in_flight);
}

/* Sends the next batch when all replies to the last one have come. */
static void batch_replied(struct lane *lane, uint64_t before)
{
    (void)before;
    if (lane->replies < lane->asked)
        return;
    result.requests += plan.in_flight;
    latency_add(&result, clock_ns() - lane->began_ns);
    if (plan.reconnects) {
        tls_off(lane->tls);
        close(lane->fd);
        lane_open(lane);
    }
    batch_begin(lane);
}

/* ---- The open loop ---- */

/* When a lane's n-th request is due. Requests go to the lanes in turn, so its number in the whole
 * run is known. */
static uint64_t due_ns(const struct lane *lane, uint64_t number)
{
    uint64_t of_all = number * plan.connections + (uint64_t)(lane - lanes);

    return begun_ns + (uint64_t)((double)of_all * 1e9 / plan.rate);
}

static void request_replied(struct lane *lane, uint64_t before)
{
    uint64_t now = clock_ns();

    for (uint64_t number = before; number < lane->replies; number++) {
        uint64_t due = due_ns(lane, number);
        if (due < measured_ns)
            continue;
        result.requests++;
        latency_add(&result, now - due);
    }
}

/* Sends the requests that are due, a lane's with one call. */
static void requests_due(void)
{
    static uint64_t asked;
    uint64_t due = 1 + (uint64_t)((double)(clock_ns() - begun_ns) * plan.rate / 1e9);
    uint64_t count = due - asked, lanes_due = count < plan.connections ? count : plan.connections;

    for (uint64_t i = 0; i < lanes_due; i++)
        lane_ask(&lanes[(asked + i) % plan.connections],
                 (count - i + plan.connections - 1) / plan.connections);
    asked = due;
}

/* ---- The loop ---- */

static void run_until(uint64_t end, void (*replied)(struct lane *lane, uint64_t before))
{
    struct epoll_event events[EVENTS];
    uint64_t heard = clock_ns();

    do {
        if (plan.rate > 0)
            requests_due();
        /* With a rate it spins: the next request may be due at any moment. */
        int count = epoll_wait(epoll, events, EVENTS, plan.rate > 0 ? 0 : 100);
        if (count > 0)
            heard = clock_ns();
        errno = 0;
        if (clock_ns() - heard > SILENT_NS)
            load_fail("the server has not answered for 5 seconds");
        for (int i = 0; i < count; i++) {
            struct lane *lane = events[i].data.ptr;
            uint64_t before = lane->replies;
            if (events[i].events & EPOLLOUT)
                lane_ask(lane, 0);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                lane_receive(lane);
            if (lane->replies > before)
                replied(lane, before);
        }
    } while (clock_ns() < end);
}

int main(int argc, char **argv)
{
    plan_read(argc, argv);
    lanes = calloc(plan.connections, sizeof(*lanes));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (lanes == NULL || epoll < 0)
        load_fail("cannot begin");
    if (plan.handshakes != HANDSHAKES_NONE) {
        handshakes_run(&result);
        result_print(&result);
        return EXIT_SUCCESS;
    }
    first_call();
    for (unsigned i = 0; i < plan.connections; i++)
        lane_open(&lanes[i]);
    begun_ns = clock_ns();
    measured_ns = begun_ns + plan.warm_up_ns;
    for (unsigned i = 0; i < plan.connections && plan.rate <= 0; i++)
        batch_begin(&lanes[i]);

    void (*replied)(struct lane *, uint64_t) = plan.rate > 0 ? request_replied : batch_replied;
    run_until(measured_ns, replied);
    uint64_t cpu = cpu_of(plan.cpu_of), start = clock_ns();
    result = (struct result){0};
    run_until(start + plan.measured_ns, replied);
    result.elapsed_ns = clock_ns() - start;
    result.server_cpu_ns = cpu_of(plan.cpu_of) - cpu;
    result_print(&result);
    return EXIT_SUCCESS;
}
