/* A gate's loop: accepting, and the master's messages. See gate.h. */
#include "gate/gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log_seldom.h"
#include "base/memory.h"
#include "gate/gate_client.h"
#include "gate/pair.h"
#include "gate/tickets.h"
#include "net/handoff.h"
#include "process/channel.h"
#include "process/child.h"
#include "process/sandbox.h"
#include "process/title.h"

#define ACCEPT_BATCH  16u
#define LEFT_BATCH    4u /* clients accepted after a pause by a gate that has more than its share */
#define PAUSE_FAIR_NS (5 * NS_PER_MS)
#define PAUSE_NS      (200 * NS_PER_MS)
#define FAIR_MARGIN   4u  /* clients above the average that do not count as more, */
#define FAIR_SHARE    64u /* and this part of the average, which does not either */
#define DAY_NS        (86400 * NS_PER_S)
#define FILES_SPARE   64u
#define SHARES        4u /* handshakes of one address take one of them at most */
#define FILES_CLIENT                                                            \
    3u /* its socket, and both ends of the pair until the queue has one of them \
        */

/* The one gate of this process. */
static struct {
    const struct gate_start *start;
    struct board_gate *row;
    struct loop loop;
    struct watch master;
    struct gate_ports ports;
    struct gate_clients clients;
    struct timer pause, warning;
    uint32_t limit; /* of clients */
    bool paused;
    bool leaving; /* it takes no more clients, and ends when it has none */
    bool asked;   /* a MESSAGE_BEAT is to be answered with `question` */
    uint64_t question;
} gate;

/* ---- Accepting ----
 *
 * Gates share clients as workers do (net/acceptor.h): wake-ups are last-in first-out, so one gate
 * would get nearly all clients, and its end would cost all of them. A gate with clearly more than
 * the average takes the one client that it was woken for, and pauses for a moment. */

static void port_ready(struct watch *watch, uint32_t events);
static void accept_from(struct gate_port *port, unsigned owed);

static void stop_accepting(void)
{
    for (uint32_t i = 0; i < gate.ports.count; i++)
        loop_unwatch(&gate.loop, &gate.ports.items[i].watch);
}

static void start_accepting(void)
{
    gate.paused = false;
    for (uint32_t i = 0; i < gate.ports.count && !gate.leaving; i++) {
        struct gate_port *port = &gate.ports.items[i];
        if (port->watch.index == 0 && !loop_watch(&gate.loop, &port->watch, port->watch.fd,
                                                  EPOLLIN | EPOLLEXCLUSIVE, port_ready))
            log_error("a gate cannot watch %s: errno %d", port->heard->listener->address.text,
                      errno);
    }
}

static void pause_over(struct timer *timer)
{
    if (gate.clients.open >= gate.limit) {
        timer_set(&gate.loop, timer, PAUSE_NS, pause_over);
        return;
    }
    start_accepting();
    for (uint32_t i = 0; i < gate.ports.count && !gate.paused; i++)
        accept_from(&gate.ports.items[i], LEFT_BATCH);
}

static void pause_accepting(uint64_t ns)
{
    stop_accepting();
    gate.paused = true;
    timer_set(&gate.loop, &gate.pause, ns, pause_over);
}

/* True when this gate has clearly more clients than its share. */
static bool above_average(void)
{
    uint32_t average = board_gate_average(gate.start->board);
    return board_gate_clients(gate.row) > average + average / FAIR_SHARE + FAIR_MARGIN;
}

/* Accepts clients that wait; up to `owed` of them even when this gate has more than its share. */
static void accept_from(struct gate_port *port, unsigned owed)
{
    for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
        if (gate.clients.open >= gate.limit) {
            log_seldom(LOG_WARN_LEVEL, NULL,
                       "a gate has %u clients, as many as it has descriptors for: accepting "
                       "pauses; raise the limit on open files (worker_rlimit_nofile) or "
                       "gate_processes",
                       gate.clients.open);
            pause_accepting(PAUSE_NS);
            return;
        }
        if (i >= owed && above_average()) {
            pause_accepting(PAUSE_FAIR_NS);
            return;
        }
        struct sockaddr_storage peer;
        socklen_t size = sizeof(peer);
        int fd =
            accept4(port->watch.fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            gate_client_new(&gate.clients, port, fd, &peer, size);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO)
            continue;
        if (errno != EAGAIN && errno != EINVAL) {
            log_seldom(LOG_WARN_LEVEL, NULL, "a gate cannot accept (%s): accepting pauses",
                       strerrorname_np(errno));
            pause_accepting(PAUSE_NS);
        }
        return;
    }
}

/* The kernel wakes one gate for a client: this gate accepts it whatever its share is. */
static void port_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    accept_from(container_of(watch, struct gate_port, watch), 1);
}

static void warn_daily(struct timer *timer)
{
    gate_ports_warn(&gate.ports);
    timer_set(&gate.loop, timer, DAY_NS, warn_daily);
}

/* ---- The end ---- */

static void end_when_empty(void)
{
    if (gate.leaving && gate.clients.open == 0)
        _exit(0);
}

static void client_gone(void)
{
    end_when_empty();
}

/* ---- The master ---- */

static void master_says(const struct message *message, const int *fds, uint32_t fd_count)
{
    if (message->type == MESSAGE_LOG && fd_count == 1) {
        log_adopt(fds[0]);
    } else if (message->type == MESSAGE_BEAT) {
        gate.asked = true;
        gate.question = message->serial;
    } else if (message->type == MESSAGE_SURPLUS) {
        gate.leaving = true;
        stop_accepting();
        for (uint32_t i = 0; i < gate.ports.count; i++)
            close(gate.ports.items[i].watch.fd);
        gate.ports.count = 0;
        timer_cancel(&gate.loop, &gate.pause);
        title_set("gate %u (leaving)", gate.start->seat);
        end_when_empty();
    }
}

static void master_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    if (channel_hear(watch->fd, master_says) == CHANNEL_CLOSED)
        _exit(0);
}

static void batch_done(struct loop *loop, void *context)
{
    (void)loop;
    (void)context;
    if (gate.asked && channel_tell(gate.master.fd, MESSAGE_ALIVE, gate.question, 0))
        gate.asked = false;
}

/* ---- The process ---- */

static size_t fds_of(const struct generation *generation, int *keep)
{
    size_t count = 0;

    for (size_t i = 0; i < generation->listener_count; i++) {
        const struct generation_listener *heard = &generation->listeners[i];
        if (!heard->ssl)
            continue;
        for (uint32_t n = 0; n < heard->listener->count; n++, count++) {
            if (keep != NULL)
                keep[count] = heard->listener->fds[n];
        }
        if (keep != NULL)
            keep[count] = heard->listener->handoff[HANDOFF_IN];
        count++;
    }
    return count;
}

static void keep_descriptors(const struct gate_start *start)
{
    size_t count = fds_of(start->generation, NULL);
    int *keep = must_alloc((count + 2) * sizeof(*keep));

    fds_of(start->generation, keep);
    keep[count++] = start->channel;
    keep[count++] = start->tickets;
    child_begin(keep, count);
    free(keep);
}

/* Names the sockets of gate_ports_load, which are in the same order. */
static void name_sockets(void)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < gate.ports.count; i++) {
        n = i > 0 && gate.ports.items[i].heard == gate.ports.items[i - 1].heard ? n + 1 : 0;
        gate.ports.items[i].watch.fd = gate.ports.items[i].heard->listener->fds[n];
    }
}

static uint64_t longest_session(const struct settings *settings)
{
    uint64_t longest = 60;

    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next)
        longest =
            s->ssl.session_timeout_ms / 1000 > longest ? s->ssl.session_timeout_ms / 1000 : longest;
    return longest;
}

static _Noreturn void fail(const char *text)
{
    log_error("%s", text);
    channel_say(gate.start->channel, MESSAGE_FAILED, text);
    _exit(1);
}

static _Noreturn void fail_errno(const char *what)
{
    struct error error;

    error_errno(&error, "%s", what);
    fail(error.text);
}

static void begin_clients(struct board_gate *row)
{
    struct board *board = gate.start->board;

    gate.row = row;
    gate.clients = (struct gate_clients){
        .loop = &gate.loop,
        .tls = gate.ports.tls,
        .gone = client_gone,
        .admission = {.counters = row->counters,
                      .shaking = {.own = &row->crowd,
                                  .seed = board->secret,
                                  .next = board_next_gate_crowd,
                                  .context = board},
                      .served = {.seed = board->secret, .next = board_next_crowd, .context = board},
                      .share = gate.limit / SHARES > 0 ? gate.limit / SHARES : 1},
    };
}

_Noreturn void gate_main(const struct gate_start *start)
{
    const struct generation *generation = start->generation;
    struct board_gate *row = start->row;
    struct error error;
    char name[32];

    gate.start = start;
    bool entered = board_enter_gate(start->board, &row, &error);
    keep_descriptors(start);
    snprintf(name, sizeof(name), "gate %u", start->seat);
    log_identity(name);
    title_set("%s", name);
    uint64_t files = limit_open_files((uint64_t)generation->settings->worker_rlimit_nofile);
    privilege_protect();
    if (!entered || !tickets_map(start->tickets, longest_session(generation->settings), &error) ||
        !gate_ports_load(&gate.ports, generation, &error) || !pair_begin(&error) ||
        !privilege_drop(&generation->identity, start->master, &error) ||
        !loop_init(&gate.loop, &error))
        fail(error.text);
    privilege_protect(); /* changing the user has undone it (prctl(2)) */
    name_sockets();
    gate.limit =
        (uint32_t)(files > FILES_SPARE + FILES_CLIENT ? (files - FILES_SPARE) / FILES_CLIENT : 1);
    begin_clients(row);
    if (!loop_watch(&gate.loop, &gate.master, start->channel, EPOLLIN, master_ready))
        fail_errno("a gate cannot watch its master");
    gate.loop.after_batch = batch_done;
    start_accepting();
    if (generation->settings->sandbox != SANDBOX_OFF)
        sandbox_enter_gate(pair_port());
    if (start->warns)
        timer_set(&gate.loop, &gate.warning, DAY_NS, warn_daily);
    channel_say(start->channel, MESSAGE_READY, "");
    loop_run(&gate.loop);
    _exit(0);
}
