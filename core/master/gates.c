/* The gates' processes, in the master. See gates.h.
 *
 * Gates are alike when their fingerprints are: the addresses with `ssl`, what their servers say of
 * TLS, and the files of certificates and keys as they are on disk. A reload that changes none of
 * that leaves the gates alone. */
#include "master/gates.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"
#include "gate/gate.h"
#include "gate/tickets.h"
#include "master/fingerprint.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/report.h"
#include "master/state.h"
#include "net/handoff.h"
#include "process/children.h"
#include "process/outbox.h"
#include "process/startup.h"

#define QUICK_NS   NS_PER_S
#define BACKOFF_NS NS_PER_S
#define FINISH_NS  NS_PER_S
#define MANY       8u             /* former gates of which more are warned of */
#define LAST_NS    (6 * NS_PER_S) /* for gates to pass on what the workers have said last */

struct gate {
    struct child child;
    struct outbox out;
    struct pulse pulse;
    struct board_gate *row; /* of the board, or NULL */
    uint32_t seat;
    uint64_t started_ns;
    char *fingerprint; /* "" : of a former binary */
    bool ready;        /* it accepts */
    bool leaving;      /* it was told to take no more clients */
    uint64_t leaving_ns;
    struct timer over; /* the end of the time that it has for its clients */
    struct gate *next;
};

static struct {
    struct gate *first;
    char *fingerprint; /* of the gates that are to serve; NULL before gates_serve */
    uint32_t wanted;   /* their number */
    int tickets;       /* the memory of their tickets' keys; 0: there is none yet */
    struct timer respawn, last;
    uint32_t seats;
    void (*ended)(void);
} gates;

void gates_begin(void (*ended)(void))
{
    gates.ended = ended;
}

/* ---- What a generation asks for ---- */

static bool wants_gates(const struct generation *generation)
{
    bool ssl = false;

    for (size_t i = 0; i < generation->listener_count; i++)
        ssl = ssl || generation->listeners[i].ssl;
    return ssl;
}

static uint32_t wanted_count(const struct generation *generation)
{
    return wants_gates(generation) ? (uint32_t)generation->settings->gate_processes : 0;
}

static void print_ssl(struct text *text, const struct ssl_settings *ssl)
{
    for (size_t i = 0; i < ssl->certificates.count; i++)
        fingerprint_file(text, ssl->certificates.items[i]);
    for (size_t i = 0; i < ssl->keys.count; i++)
        fingerprint_file(text, ssl->keys.items[i]);
    fingerprint_file(text, ssl->client_certificates);
    text_printf(text, " %u %s %d %d %lld %llu %llu", ssl->protocols,
                ssl->ciphers == NULL ? "" : ssl->ciphers, ssl->verify_client, ssl->session_tickets,
                (long long)ssl->handshakes, (unsigned long long)ssl->session_timeout_ms,
                (unsigned long long)ssl->handshake_timeout_ms);
}

static void print_rule(struct text *text, bool allows, int of, const struct network *network)
{
    text_printf(text, " %d%d %d/%u ", allows, of, network->family, network->bits);
    for (size_t i = 0; i < sizeof(network->address); i++)
        text_printf(text, "%02x", network->address[i]);
}

/* What the gate admits clients by. */
static void print_admission(struct text *text, const struct server_settings *server)
{
    text_printf(text, " %u %lld %lld %lld %llu", server->index, (long long)server->limit_conn.most,
                (long long)server->limit_conn.rate, (long long)server->limit_conn.period_s,
                (unsigned long long)server->proxy_timeout_ms);
    for (size_t i = 0; i < server->access.count; i++) {
        const struct access_rule *rule = &server->access.rules[i];
        print_rule(text, rule->allows, (int)rule->of, &rule->network);
    }
    for (size_t i = 0; i < server->proxy_from.count; i++)
        print_rule(text, true, 0, &server->proxy_from.networks[i]);
}

/* A queue that a module has shut down is another one after a reload. */
static void print_queue(struct text *text, int in)
{
    struct stat queue = {0};

    fstat(in, &queue);
    text_printf(text, " %llu", (unsigned long long)queue.st_ino);
}

/* The caller frees it. */
static char *fingerprint_of(const struct generation *generation)
{
    struct text text = {0};

    text_printf(&text, "%u %u %lld", generation->identity.user, generation->identity.group,
                (long long)generation->settings->worker_rlimit_nofile);
    for (size_t i = 0; i < generation->listener_count; i++) {
        const struct generation_listener *heard = &generation->listeners[i];
        if (!heard->ssl)
            continue;
        text_printf(&text, "\n%u %u %u %d %d %llu", heard->listener->id, heard->listener->count,
                    heard->protocol, heard->proxied, heard->server->tcp_keepalive,
                    (unsigned long long)heard->server->send_timeout_ms);
        print_admission(&text, heard->server);
        print_queue(&text, heard->listener->handoff[HANDOFF_IN]);
        print_ssl(&text, &heard->server->ssl);
    }
    char *print = must_strdup(text_string(&text));
    text_free(&text);
    return print;
}

/* ---- A gate ---- */

static void gate_spawn_missing(struct timer *timer);
static void retire_former(void);

static void gate_speaks(struct child *child, struct message *message, const int *fds,
                        uint32_t fd_count)
{
    struct gate *gate = container_of(child, struct gate, child);

    descriptors_close(fds, fd_count);
    if (message->type == MESSAGE_ALIVE)
        pulse_heard(&gate->pulse, message->serial);
    if (message->type != MESSAGE_READY)
        return;
    gate->ready = true;
    retire_former();
}

static void gate_free(struct gate *gate)
{
    for (struct gate **at = &gates.first; *at != NULL; at = &(*at)->next) {
        if (*at == gate) {
            *at = gate->next;
            break;
        }
    }
    timer_cancel(&master.loop, &gate->over);
    board_retire_gate(master.board, gate->row);
    outbox_clear(&gate->out);
    child_close(&gate->child);
    free(gate->fingerprint);
    free(gate);
}

static void gate_ended(struct child *child, int status)
{
    struct gate *gate = container_of(child, struct gate, child);
    bool quick = clock_ns() - gate->started_ns < QUICK_NS, leaving = gate->leaving;
    char how[64];

    describe_status(status, how, sizeof(how));
    if (leaving && status == 0)
        log_info("gate %u has no clients any more and has ended", gate->seat);
    else if (master.mode == MASTER_RUNNING && !gate->ready)
        report(JOURNAL_GATE_ENDED, &(struct report_subject){.pid = child->pid},
               "gate %u (pid %d) could not begin to serve (%s): %s", gate->seat, (int)child->pid,
               how, leaving ? "it is not needed any more" : "another is tried");
    else if (master.mode == MASTER_RUNNING)
        report(JOURNAL_GATE_ENDED, &(struct report_subject){.pid = child->pid},
               "gate %u (pid %d) ended (%s): its clients are disconnected%s", gate->seat,
               (int)child->pid, how, leaving ? "" : ", and another is started");
    gate_free(gate);
    if (master.mode == MASTER_RUNNING && !leaving)
        counter_add(&master.board->gate_restarts, 1);
    if (master.mode == MASTER_RUNNING && !leaving)
        timer_set(&master.loop, &gates.respawn, quick ? BACKOFF_NS : 0, gate_spawn_missing);
    gates.ended();
}

static const struct child_events gate_events = {.heard = gate_speaks, .ended = gate_ended};

static struct gate *gate_add(uint32_t seat, pid_t pid, int channel)
{
    struct gate *gate = must_zalloc(sizeof(*gate));

    gate->seat = seat;
    gate->started_ns = clock_ns();
    gate->pulse = (struct pulse){.known = true};
    gate->out = (struct outbox){.loop = &master.loop, .channel = channel};
    gate->next = gates.first;
    gates.first = gate;
    if (!child_listen(&gate->child, &master.loop, channel, &gate_events))
        log_error("cannot watch the channel of gate %u: errno %d", seat, errno);
    child_follow(&gate->child, pid, &gate_events);
    return gate;
}

/* `warns`: of certificates that expire. */
static bool gate_spawn(const struct generation *generation, const char *fingerprint, bool warns,
                       struct error *error)
{
    struct gate_start start = {
        .seat = gates.seats,
        .warns = warns,
        .generation = generation,
        .master = master.pid,
        .board = master.board,
    };
    int pair[2];

    if (gates.tickets <= 0 && (gates.tickets = tickets_make(error)) < 0)
        return false;
    start.tickets = gates.tickets;
    if (!channel_pair(pair, error))
        return false;
    start.channel = pair[1];
    start.row = board_take_gate(master.board);
    pid_t pid = fork();
    if (pid == 0)
        gate_main(&start);
    close(pair[1]);
    if (pid < 0) {
        error_errno(error, "cannot start a gate");
        close(pair[0]);
        board_retire_gate(master.board, start.row);
        return false;
    }
    struct gate *gate = gate_add(gates.seats++, pid, pair[0]);
    gate->fingerprint = must_strdup(fingerprint);
    gate->row = start.row;
    pulse_greet(pair[0]);
    return true;
}

/* ---- All of them ---- */

static void gate_over(struct timer *timer)
{
    struct gate *gate = container_of(timer, struct gate, over);

    log_warn("gate %u (pid %d) still has clients when its time is over (gate_shutdown_timeout): "
             "it is ended, and they are disconnected",
             gate->seat, (int)gate->child.pid);
    kill(gate->child.pid, SIGKILL);
}

/* A former gate has as long as the current configuration says, from when it was told to go. */
static void gate_limit(struct gate *gate)
{
    uint64_t most_ms = generation_current()->settings->gate_shutdown_timeout_ms;

    timer_cancel(&master.loop, &gate->over);
    if (gate->leaving && most_ms > 0)
        timer_set_at(&master.loop, &gate->over, gate->leaving_ns + most_ms * NS_PER_MS, gate_over);
}

static void gate_retire(struct gate *gate)
{
    if (gate->leaving)
        return;
    gate->leaving = outbox_tell(&gate->out, MESSAGE_SURPLUS, 0, 1);
    gate->leaving_ns = clock_ns();
    board_gate_leaves(master.board, gate->row);
    if (master.mode == MASTER_RUNNING)
        gate_limit(gate);
}

static uint32_t count_leaving(void)
{
    uint32_t count = 0;

    for (const struct gate *g = gates.first; g != NULL; g = g->next)
        count += g->leaving;
    return count;
}

/* Many upgrades, or renewals, with clients that stay: each leaves its gates behind. */
static void warn_of_many(uint32_t before)
{
    uint32_t now = count_leaving();

    if (now > before && now > MANY)
        log_warn("%u gates of former certificates or binaries have clients that have not gone; "
                 "gate_shutdown_timeout would end them%s",
                 now,
                 generation_current()->settings->gate_shutdown_timeout_ms == 0 ? "" : ", and will");
}

/* The number of gates with this fingerprint that are to stay; `ready` of them accept. */
static uint32_t count_alike(const char *fingerprint, uint32_t *ready)
{
    uint32_t count = 0;

    *ready = 0;
    for (const struct gate *g = gates.first; g != NULL; g = g->next) {
        if (g->leaving || strcmp(g->fingerprint, fingerprint) != 0)
            continue;
        count++;
        *ready += g->ready;
    }
    return count;
}

/* Gates of former settings go once as many as are wanted accept in their place. */
static void retire_former(void)
{
    uint32_t ready;

    if (gates.fingerprint == NULL || master.mode != MASTER_RUNNING)
        return;
    uint32_t before = count_leaving();
    count_alike(gates.fingerprint, &ready);
    for (struct gate *g = gates.first; g != NULL && ready >= gates.wanted; g = g->next) {
        if (strcmp(g->fingerprint, gates.fingerprint) != 0)
            gate_retire(g);
    }
    for (struct gate *g = gates.first; g != NULL && ready > gates.wanted; g = g->next) {
        if (!g->leaving && strcmp(g->fingerprint, gates.fingerprint) == 0) {
            gate_retire(g);
            ready--;
        }
    }
    warn_of_many(before);
}

void gates_serve(void)
{
    struct error error;
    uint32_t ready;

    free(gates.fingerprint);
    gates.fingerprint = fingerprint_of(generation_current());
    gates.wanted = wanted_count(generation_current());
    for (uint32_t count = count_alike(gates.fingerprint, &ready); count < gates.wanted; count++) {
        if (gate_spawn(generation_current(), gates.fingerprint, count == 0, &error))
            continue;
        log_error("%s; trying again", error.text);
        timer_set(&master.loop, &gates.respawn, BACKOFF_NS, gate_spawn_missing);
        break;
    }
    retire_former();
    for (struct gate *g = gates.first; g != NULL; g = g->next)
        gate_limit(g);
}

static void gate_spawn_missing(struct timer *timer)
{
    (void)timer;
    if (master.mode == MASTER_RUNNING && generation_current() != NULL)
        gates_serve();
}

bool gates_reopen(void)
{
    struct message message = {.type = MESSAGE_LOG};
    int fd = log_descriptor();
    bool good = true;

    for (struct gate *g = gates.first; fd > STDERR_FILENO && g != NULL; g = g->next)
        good = (outbox_send(&g->out, &message, fd) || errno == EPIPE) && good;
    return good;
}

void gates_round(const struct pulse_round *round)
{
    for (struct gate *g = gates.first; g != NULL; g = g->next) {
        if (pulse_round(&g->pulse, g->child.pid, g->child.channel.fd, round, false, false))
            continue;
        report(JOURNAL_HANG, &(struct report_subject){.pid = g->child.pid},
               "gate %u (pid %d) gives no sign of life (heartbeat_timeout): it is ended and "
               "replaced",
               g->seat, (int)g->child.pid);
        kill(g->child.pid, SIGKILL);
    }
}

/* ---- The end ---- */

void gates_leave(void)
{
    timer_cancel(&master.loop, &gates.respawn);
    for (struct gate *g = gates.first; g != NULL; g = g->next)
        gate_retire(g);
}

static void last_over(struct timer *timer)
{
    (void)timer;
    gates_end();
}

bool gates_finish(void)
{
    if (gates.first != NULL && !timer_is_set(&gates.last))
        timer_set(&master.loop, &gates.last, LAST_NS, last_over);
    return gates.first == NULL;
}

void gates_end(void)
{
    for (const struct gate *g = gates.first; g != NULL; g = g->next)
        kill(g->child.pid, SIGKILL);
}

/* ---- Upgrade ---- */

void gates_write(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "gates");

    cJSON_AddNumberToObject(state, "tickets", gates.tickets);
    cJSON_AddNumberToObject(state, "gate_seats", gates.seats);
    for (const struct gate *g = gates.first; g != NULL; g = g->next) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "pid", g->child.pid);
        cJSON_AddNumberToObject(item, "channel", g->child.channel.fd);
        cJSON_AddNumberToObject(item, "seat", g->seat);
        cJSON_AddBoolToObject(item, "leaving", g->leaving);
        cJSON_AddNumberToObject(item, "leaving_ms", (double)(g->leaving_ns / NS_PER_MS));
        cJSON_AddNumberToObject(item, "row", board_gate_place(master.board, g->row));
        cJSON_AddItemToArray(list, item);
    }
}

void gates_read(const cJSON *state)
{
    const cJSON *item;

    gates.tickets = (int)state_number(state, "tickets", 0);
    gates.seats = (uint32_t)state_number(state, "gate_seats", 0);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "gates"))
    {
        double pid = state_number(item, "pid", -1);
        if (pid <= 0)
            continue;
        struct gate *gate = gate_add((uint32_t)state_number(item, "seat", 0), (pid_t)pid,
                                     (int)state_number(item, "channel", -1));
        gate->fingerprint = must_strdup("");
        gate->ready = true;
        gate->leaving = state_truth(item, "leaving");
        gate->leaving_ns =
            (uint64_t)state_number(item, "leaving_ms", (double)(clock_ns() / NS_PER_MS)) *
            NS_PER_MS;
        gate->row = board_gate_at(master.board, (uint32_t)state_number(item, "row", BOARD_NO_GATE));
    }
}

void gates_keep_open(bool keep)
{
    if (gates.tickets > 0)
        state_keep_open(gates.tickets, keep);
    for (struct gate *g = gates.first; g != NULL; g = g->next) {
        if (keep && !outbox_finish(&g->out, FINISH_NS))
            log_warn("gate %u does not read its messages", g->seat);
        state_keep_open(g->child.channel.fd, keep);
    }
}
