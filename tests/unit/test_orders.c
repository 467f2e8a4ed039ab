/* Every order at every stage of every other one: what docs/operations.md says of it.
 *
 * The master's own code runs (orders.c, reload.c, workers.c, upgrade.c, handover.c, control.c),
 * with no process but this one: children are rows of a table (child_fakes.h), and fexecve(3) fails.
 * Children send the messages that a test makes them send, so that a message can lie unread while an
 * order comes: in the stages whose name ends in "said". */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"
#include "child_fakes.h"
#include "master/binary.h"
#include "master/control.h"
#include "master/events.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/orders.h"
#include "master/rehearsal.h"
#include "master/reload.h"
#include "master/vault_channels.h"
#include "master/vaults.h"
#include "master/workers.h"
#include "process/children.h"

#define TURNS 60

/* ---- Children ---- */

static int rehearsal_output = -1;
static bool executed;
static int spawned_at_exec; /* other workers, before execve(2) fails */

static struct fake *fake_of(pid_t pid)
{
    ck_assert_int_ge(pid, FIRST_PID);
    return &fakes[pid - FIRST_PID];
}

static int *end_of(int master_end)
{
    for (size_t i = pair_count; i-- > 0;) {
        if (pairs[i].master_end == master_end)
            return &pairs[i].child_end;
    }
    ck_abort_msg("no such channel");
}

static struct worker *worker_of(pid_t pid)
{
    struct worker *worker = workers_first();
    while (worker != NULL && worker->child.pid != pid)
        worker = worker->next;
    return worker;
}

static void end_child(struct fake *child, int status)
{
    struct worker *worker = worker_of(child->pid);

    if (child->dead)
        return;
    child->dead = true;
    child->status = status;
    if (worker != NULL) {
        close(*end_of(worker->child.channel.fd));
        *end_of(worker->child.channel.fd) = -1;
    }
}

static bool unreported; /* a killed child does not end, as a process that another one traces */

static void kill_child(struct fake *child)
{
    if (!unreported)
        end_child(child, SIGKILL);
}

int __wrap_fexecve(int fd, char *const argv[], char *const envp[]);
int __wrap_fexecve(int fd, char *const argv[], char *const envp[])
{
    struct error error;

    (void)fd;
    (void)argv;
    (void)envp;
    executed = true;
    for (int i = 0; i < spawned_at_exec; i++)
        ck_assert(worker_spawn(generation_current(), 1, &error));
    errno = ENOEXEC;
    return -1;
}

int __real_pipe2(int fds[2], int flags);
int __wrap_pipe2(int fds[2], int flags);
int __wrap_pipe2(int fds[2], int flags)
{
    int result = __real_pipe2(fds, flags);
    if (faking && result == 0)
        rehearsal_output = fcntl(fds[1], F_DUPFD_CLOEXEC, 0);
    return result;
}

static void say(const struct worker *worker, enum message_type type, uint64_t serial)
{
    ck_assert(channel_tell(*end_of(worker->child.channel.fd), type, serial, 0));
}

static void deliver(struct worker *worker)
{
    worker->child.channel.callback(&worker->child.channel, EPOLLIN);
}

/* ---- Children that do as they should ---- */

static struct fake *rehearsing(void)
{
    for (size_t i = child_count; i-- > 0;) {
        if (!vault_is(fakes[i].pid) && worker_of(fakes[i].pid) == NULL && !fakes[i].dead &&
            rehearsal_is_under_way())
            return &fakes[i];
    }
    return NULL;
}

static void rehearse(struct fake *child)
{
    static const char first[] = REHEARSAL_BEGINS "\n";

    ck_assert_int_eq(write(rehearsal_output, first, sizeof(first) - 1), sizeof(first) - 1);
    close(rehearsal_output);
    end_child(child, 0);
}

static bool mute; /* nobody gives a sign of life */

/* A vault says nothing else. */
static void obey_as_vault(const struct fake *vault)
{
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count;
    int end = pairs[vault->pair].child_end;

    while (channel_receive(end, &message, fds, &fd_count) == CHANNEL_MESSAGE) {
        for (uint32_t i = 0; i < fd_count; i++)
            close(fds[i]);
        if (message.type == MESSAGE_BEAT && !mute)
            ck_assert(channel_tell(end, MESSAGE_ALIVE, message.serial, 0));
    }
}

/* A child receives a message, and acts on it at once. */
static void obey(struct worker *worker, struct fake *child)
{
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count;

    while (!child->dead && channel_receive(*end_of(worker->child.channel.fd), &message, fds,
                                           &fd_count) == CHANNEL_MESSAGE) {
        for (uint32_t i = 0; i < fd_count; i++)
            close(fds[i]);
        if (message.type == MESSAGE_LEAVE)
            say(worker, MESSAGE_RELEASED, 0);
        else if (message.type == MESSAGE_ADOPT)
            say(worker, MESSAGE_ADOPTED, message.serial);
        else if (message.type == MESSAGE_LOG)
            say(worker, MESSAGE_REOPENED, message.serial);
        else if (message.type == MESSAGE_BEAT && !mute)
            say(worker, MESSAGE_ALIVE, message.serial);
        else if (message.type == MESSAGE_TAKEN || message.type == MESSAGE_STOP ||
                 message.type == MESSAGE_QUIT)
            end_child(child, 0);
    }
}

/* One turn in which the children of the kind `which` begin, and every child obeys. */
enum which { NOBODY = 0, PROBES = 1, WORKERS = 2, REHEARSALS = 4, EVERYBODY = 7 };

static void children_act(enum which which)
{
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        struct fake *child = fake_of(w->child.pid);
        if (child->dead)
            continue;
        if (!child->began && (which & (w->probe ? PROBES : WORKERS))) {
            child->began = true;
            say(w, MESSAGE_READY, 0);
            if (w->probe)
                end_child(child, 0);
        }
        obey(w, child);
    }
    for (size_t i = 0; i < child_count; i++) {
        if (vault_is(fakes[i].pid))
            obey_as_vault(&fakes[i]);
    }
    if ((which & REHEARSALS) && rehearsing() != NULL)
        rehearse(rehearsing());
}

/* The master reads what the vaults have said. */
static void hear_vaults(void)
{
    for (size_t i = 0; i < child_count; i++) {
        if (vault_is(fakes[i].pid))
            (void)master_reads(pairs[fakes[i].pair].master_end);
    }
}

static void master_acts(void)
{
    struct worker *next;

    for (struct worker *w = workers_first(); w != NULL; w = next) {
        next = w->next;
        if (w->child.channel.index != 0)
            deliver(w);
    }
    hear_vaults();
    children_reap();
    master_check_end();
}

static void turns(enum which which)
{
    for (int i = 0; i < TURNS && !executed && !master.loop.stopping; i++) {
        children_act(which);
        master_acts();
    }
}

/* ---- Clients of the control socket ---- */

static int ask(const char *verb)
{
    char line[32];
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    snprintf(line, sizeof(line), "%s\n", verb);
    control_resume_client(pair[1], line);
    return pair[0];
}

/* "" while there is none. */
static const char *answer(int client)
{
    static char text[4][512];
    static unsigned at;
    char *into = text[at++ % 4];

    ssize_t got = recv(client, into, sizeof(text[0]) - 1, MSG_PEEK);
    into[got < 0 ? 0 : got] = '\0';
    return into;
}

/* ---- Stages ---- */

enum stage {
    /* of the start */
    PROBING,
    PROBE_SAID, /* READY, which the master has not read */
    PROBE_GONE, /* likewise, and it has ended */
    STARTING,
    ONE_READY,
    ALL_SAID,   /* every worker has said READY; the last one's is not read */
    CONFIRMING, /* it is; they have been asked for a sign of life */
    /* of the server */
    SERVING,
    REOPENING,
    REHEARSING,
    REHEARSED,     /* the rehearsal has ended well, which the master has not seen */
    AGAIN_PROBING, /* a reload: as at the start */
    AGAIN_SAID,
    AGAIN_GONE,
    AGAIN_STARTING,
    AGAIN_ONE_READY,
    AGAIN_ALL_SAID,
    AGAIN_CONFIRMING,
    AGAIN_REHEARSED, /* a rehearsal ends while a reload is under way */
    AGAIN_AND_MORE,  /* another one, and an upgrade, are to follow */
    LEAVING,         /* the former generation has been told to leave */
    QUITTING,
    STOPPING,
    STAGES
};

static int earlier[3]; /* clients that have ordered the operation under way; -1 */

/* A generation's start, to the stage `which` (PROBING to CONFIRMING). */
static void start_to(enum stage which)
{
    struct worker *worker;

    if (which == PROBING)
        return;
    worker = workers_first();
    ck_assert(worker->probe);
    say(worker, MESSAGE_READY, 0);
    fake_of(worker->child.pid)->began = true;
    if (which == PROBE_SAID)
        return;
    end_child(fake_of(worker->child.pid), 0);
    if (which == PROBE_GONE)
        return;
    deliver(worker);
    children_reap();
    ck_assert_int_eq(reload_phase(), RELOAD_STARTING);
    uint32_t ready = 0, wanted = which == ONE_READY ? 1 : which >= ALL_SAID ? 2 : 0;
    for (struct worker *w = workers_first(); w != NULL && ready < wanted; w = w->next) {
        if (w->generation != generation_next())
            continue;
        say(w, MESSAGE_READY, 0);
        fake_of(w->child.pid)->began = true;
        if (++ready == 1 || which == CONFIRMING)
            deliver(w);
    }
    ck_assert(which != CONFIRMING || reload_phase() == RELOAD_CONFIRMING);
}

static char prefix[64];

static void start(void)
{
    static struct serve_options options;
    static char program[] = "pillion";
    static char *argv[] = {program, NULL};
    char path[128];
    struct error error;

    snprintf(prefix, sizeof(prefix), "/tmp/pillion-orders-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(prefix));
    snprintf(path, sizeof(path), "%s/pillion.conf", prefix);
    FILE *file = fopen(path, "we");
    fputs("worker_processes 2; server { listen unix:s; }\n", file);
    fclose(file);
    options =
        (struct serve_options){.conf = "pillion.conf", .prefix = prefix, .argv = argv, .argc = 1};
    master.options = &options;
    master.pid = getpid();
    ck_assert(loop_init(&master.loop, &error));
    snprintf(path, sizeof(path), "%s/pillion.control", prefix);
    events_begin();
    const struct settings settings = {
        .control = path, .control_mode = 0600, .control_group = (gid_t)-1};
    ck_assert(control_open(&settings, &error));
    master.board = board_new(&error);
    ck_assert_ptr_nonnull(master.board);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (getenv("ORDERS_VERBOSE") == NULL)
        dup2(null, STDERR_FILENO);
    close(null);
    binary_init();
    on_kill = kill_child;
    faking = true;
    memset(earlier, -1, sizeof(earlier));
    master_order(ORDER_RELOAD, NULL);
    ck_assert_ptr_nonnull(generation_next());
}

static void go_to(enum stage stage)
{
    start();
    if (stage <= CONFIRMING) {
        start_to(stage);
        return;
    }
    turns(EVERYBODY);
    ck_assert_int_eq(reload_phase(), RELOAD_IDLE);
    ck_assert_uint_eq(generation_current()->number, 1);
    if (stage >= AGAIN_PROBING && stage <= AGAIN_CONFIRMING) {
        earlier[0] = ask("reload");
        start_to(PROBING + (stage - AGAIN_PROBING));
    } else if (stage == REOPENING) {
        earlier[0] = ask("reopen");
    } else if (stage == REHEARSING || stage == REHEARSED) {
        earlier[0] = ask("upgrade");
        if (stage == REHEARSED)
            rehearse(rehearsing());
    } else if (stage == AGAIN_REHEARSED) {
        earlier[0] = ask("upgrade");
        earlier[1] = ask("reload");
        rehearse(rehearsing());
    } else if (stage == AGAIN_AND_MORE) {
        earlier[0] = ask("reload");
        earlier[1] = ask("reload");
        earlier[2] = ask("upgrade");
    } else if (stage == LEAVING) {
        earlier[0] = ask("reload");
        start_to(CONFIRMING);
        children_act(NOBODY);
        for (struct worker *w = workers_first(); w != NULL; w = w->next)
            deliver(w);
        hear_vaults();
        ck_assert_uint_eq(generation_current()->number, 2);
    } else if (stage == QUITTING) {
        earlier[0] = ask("quit");
    } else if (stage == STOPPING) {
        earlier[0] = ask("stop");
    }
}

static void finish(void)
{
    if (master.loop.stopping)
        control_close();
    faking = false;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", prefix);
    ck_assert_int_eq(system(command), 0);
}

/* ---- Outcomes ---- */

/* What is right in the end, when every child does as it should. */
struct outcome {
    bool ends;
    uint64_t generation; /* that serves; 0: does not matter */
    bool executes;       /* the new binary */
    bool good;           /* the client is told "ok" (of an upgrade, by the new binary) */
};

/* The table of docs/operations.md. */
static struct outcome expected(enum stage stage, enum order order)
{
    bool ending = stage == QUITTING || stage == STOPPING;
    bool upgrades = stage == REHEARSING || stage == REHEARSED || stage == AGAIN_REHEARSED ||
                    stage == AGAIN_AND_MORE;
    /* Generations that are there by themselves. */
    uint64_t number = stage < SERVING           ? 1
                      : stage == AGAIN_AND_MORE ? 3
                      : stage >= AGAIN_PROBING  ? 2
                                                : 1;

    if (order == ORDER_STOP || order == ORDER_QUIT)
        return (struct outcome){.ends = true, .good = true};
    if (ending)
        return (struct outcome){.ends = true, .good = order == ORDER_REOPEN};
    if (order == ORDER_UPGRADE)
        return (struct outcome){.generation = number, .executes = true};
    if (order == ORDER_RELOAD) /* those that follow are one */
        return (struct outcome){
            .generation = number + (stage != AGAIN_AND_MORE), .executes = upgrades, .good = true};
    return (struct outcome){.generation = number, .executes = upgrades, .good = true};
}

/* The order as a whole, its children's doings and the end. */
static void drive(enum stage stage, enum order order)
{
    static const char *const verbs[ORDERS] = {NULL, "stop", "quit", "reload", "reopen", "upgrade"};
    const struct outcome outcome = expected(stage, order);

    go_to(stage);
    int client = ask(verbs[order]);
    turns(EVERYBODY);
    if (executed && !outcome.executes)
        ck_abort_msg("stage %d, %s: the new binary was executed", stage, verbs[order]);
    ck_assert_msg(executed == outcome.executes, "stage %d, %s: no new binary", stage, verbs[order]);
    ck_assert_msg(master.loop.stopping == outcome.ends, "stage %d, %s: the server %s", stage,
                  verbs[order], outcome.ends ? "does not end" : "has ended");
    ck_assert_msg(forked_while_ending == 0,
                  "stage %d, %s: processes were started by a server that "
                  "ends",
                  stage, verbs[order]);
    if (outcome.ends) {
        ck_assert_ptr_null(workers_first());
        ck_assert_ptr_null(generation_next());
        ck_assert_int_eq(master.status, 0);
    } else {
        ck_assert_int_eq(reload_phase(), RELOAD_IDLE);
        ck_assert_ptr_nonnull(generation_current());
        ck_assert_msg(generation_current()->number == outcome.generation,
                      "stage %d, %s: generation %d serves", stage, verbs[order],
                      (int)generation_current()->number);
        for (uint32_t slot = 0; slot < 2 && !executed; slot++)
            ck_assert_ptr_nonnull(worker_of_slot(slot));
    }
    finish();
    const char *said = answer(client);
    if (order != ORDER_UPGRADE || outcome.ends)
        ck_assert_msg(strncmp(said, outcome.good ? "ok\n" : "failed\n", outcome.good ? 3 : 7) == 0,
                      "stage %d, %s: answered \"%s\"", stage, verbs[order], said);
    /* No client is left without an answer: the new binary gives the answers that are not given
     * here. */
    for (int i = 0; i < 3 && !executed; i++)
        ck_assert_msg(earlier[i] < 0 || answer(earlier[i])[0] != '\0',
                      "stage %d, %s: an earlier client is not answered", stage, verbs[order]);
}

START_TEST(every_order_has_its_outcome_at_every_stage)
{
    drive((enum stage)(_i / (ORDERS - 1)), (enum order)(1 + _i % (ORDERS - 1)));
}
END_TEST

/* ---- What the pairs do not say ---- */

START_TEST(a_caller_that_waits_for_a_reload_is_told_that_the_server_ends)
{
    go_to((enum stage)_i);
    ask("stop");
    ck_assert_str_eq(answer(earlier[0]), "failed\nthe server is ending\n");
    finish();
}
END_TEST

/* The last worker is late: the reload cannot commit behind the back of a server that quits. */
START_TEST(a_generation_that_was_dropped_is_never_put_to_use)
{
    go_to((enum stage)_i);
    ask("quit");
    ck_assert_ptr_null(generation_next());
    ck_assert_int_eq(reload_phase(), RELOAD_IDLE);
    for (int i = 0; i < TURNS; i++)
        master_acts();
    ck_assert_ptr_null(generation_next());
    ck_assert_uint_eq(forked_while_ending, 0);
    for (struct worker *w = workers_first(); w != NULL; w = w->next)
        ck_assert(worker_is_leaving(w));
    finish();
}
END_TEST

START_TEST(stop_does_not_wait_as_quit_does)
{
    go_to(QUITTING);
    ck_assert(!master.loop.stopping);
    ask("stop"); /* the workers have been told to quit, and have not read that yet */
    master_acts();
    ck_assert(master.loop.stopping);
    finish();
}
END_TEST

START_TEST(a_start_that_fails_ends_the_server)
{
    go_to((enum stage)_i);
    for (struct worker *w = workers_first(); w != NULL; w = w->next)
        end_child(fake_of(w->child.pid), SIGSEGV);
    master_acts();
    ck_assert(master.loop.stopping);
    ck_assert_int_eq(master.status, 1);
    finish();
}
END_TEST

START_TEST(a_reload_that_fails_is_answered_and_the_waiting_order_goes_on)
{
    go_to(AGAIN_AND_MORE);
    end_child(fake_of(workers_first()->child.pid), SIGSEGV);
    master_acts();
    ck_assert_int_eq(strncmp(answer(earlier[0]), "failed\n", 7), 0);
    ck_assert_str_eq(answer(earlier[1]), "");
    turns(EVERYBODY);
    ck_assert_int_eq(strncmp(answer(earlier[1]), "ok\n", 3), 0);
    ck_assert(executed);
    finish();
}
END_TEST

/* Whoever takes part in a reload and gives no sign of life fails it; the rest is in
 * test_heartbeat. */
START_TEST(a_reload_does_not_succeed_while_a_process_is_silent)
{
    go_to(AGAIN_ALL_SAID);
    mute = true;
    turns(EVERYBODY);
    ck_assert_int_eq(reload_phase(), RELOAD_CONFIRMING);
    ck_assert_str_eq(answer(earlier[0]), "");
    longest.timer->callback(longest.timer); /* the reload has no more patience */
    ck_assert_int_eq(reload_phase(), RELOAD_IDLE);
    ck_assert_str_eq(answer(earlier[0]), "failed\nvault 0 gives no sign of life: its connections "
                                         "could not be handed over\n");
    ck_assert_uint_eq(generation_current()->number, 1);
    finish();
}
END_TEST

/* A vault that has no channel to a worker lacks the sockets of the worker's connections. */
START_TEST(a_reload_waits_until_every_vault_has_a_channel_to_every_worker)
{
    go_to(SERVING);
    for (size_t i = 0; i < child_count; i++) {
        if (vault_is(fakes[i].pid))
            end_child(&fakes[i], SIGKILL);
    }
    pairs_left = 1; /* its own, and none to the first worker */
    master_acts();
    ck_assert_int_eq(pairs_left, -1);
    struct timer *reach = latest.timer;
    int client = ask("reload");
    turns(EVERYBODY);
    ck_assert_int_eq(reload_phase(), RELOAD_CONFIRMING);
    ck_assert_str_eq(answer(client), "");
    reach->callback(reach);
    reload_look();
    ck_assert_int_eq(reload_phase(), RELOAD_CONFIRMING); /* until they have answered again */
    turns(EVERYBODY);
    ck_assert_uint_eq(generation_current()->number, 2);
    ck_assert_int_eq(strncmp(answer(client), "ok\n", 3), 0);
    finish();
}
END_TEST

START_TEST(an_upgrade_does_not_wait_for_a_rehearsal_whose_end_is_not_reported)
{
    go_to(SERVING);
    int client = ask("upgrade");
    ck_assert(rehearsal_is_under_way());
    struct fake *child = rehearsing();
    unreported = true;
    latest.timer->callback(latest.timer); /* it is late */
    ck_assert(rehearsal_is_under_way());
    latest.timer->callback(latest.timer); /* and its end is not reported */
    ck_assert(!rehearsal_is_under_way());
    const char *told = answer(client);
    ck_assert_msg(strncmp(told, "failed\n", 7) == 0 && strstr(told, "was ended") != NULL, "%s",
                  told);
    unreported = false;
    end_child(child, SIGKILL); /* reported after all: to nobody */
    master_acts();
    ask("reload");
    turns(EVERYBODY);
    ck_assert_uint_eq(generation_current()->number, 2);
    finish();
}
END_TEST

/* It was not there when the others were asked. */
START_TEST(a_reload_asks_a_replacement_for_a_sign_of_life_too)
{
    go_to(AGAIN_CONFIRMING);
    end_child(fake_of(worker_of_slot(0)->child.pid), SIGSEGV);
    master_acts();
    turns(EVERYBODY);
    ck_assert_uint_eq(generation_current()->number, 2);
    ck_assert_int_eq(strncmp(answer(earlier[0]), "ok\n", 3), 0);
    finish();
}
END_TEST

/* The seats of the vaults that a worker is shown when another seat is filled. */
static uint32_t shown_seats(int end)
{
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count, seats = 0;

    while (channel_receive(end, &message, fds, &fd_count) == CHANNEL_MESSAGE) {
        descriptors_close(fds, fd_count);
        if (message.type == MESSAGE_VAULT)
            seats |= 1u << message.number;
    }
    return seats;
}

/* To a worker of such a binary every vault is the next one of the only seat. */
START_TEST(a_worker_of_a_binary_that_knows_one_vault_is_shown_no_other)
{
    static const char *const states[] = {
        "{\"workers\":[{\"pid\":%d,\"channel\":%d,\"arena\":-1}]}",
        "{\"vaults\":[],\"workers\":[{\"pid\":%d,\"channel\":%d,\"arena\":-1,"
        "\"single_vault\":true}]}",
        "{\"vaults\":[],\"workers\":[{\"pid\":%d,\"channel\":%d,\"arena\":-1}]}",
    };
    struct error error;
    int ends[3];

    go_to(SERVING);
    for (int i = 0; i < 3; i++) {
        int pair[2];
        ck_assert(channel_pair(pair, &error));
        char text[256];
        snprintf(text, sizeof(text), states[i], (int)fork(), pair[0]);
        cJSON *state = cJSON_Parse(text);
        workers_read(state);
        cJSON_Delete(state);
        ends[i] = pair[1];
    }
    uint32_t seat = atomic_load(&master.board->vault_count);
    ck_assert(vaults_start(seat + 1, &error));
    ck_assert_uint_eq(shown_seats(ends[0]), 0);
    ck_assert_uint_eq(shown_seats(ends[1]), 0);
    ck_assert_uint_eq(shown_seats(ends[2]), 1u << seat);
    finish();
}
END_TEST

/* A reload by the new binary waits for such connections as the former one would have, though
 * workers and vaults report only changes. */
START_TEST(an_upgrade_hands_on_which_connections_no_vault_can_hold)
{
    struct error error;
    int pair[2];

    go_to(SERVING);
    struct worker *worker = worker_of_slot(0);
    cJSON *state = cJSON_CreateObject();
    worker->vaults.unreached[0] = true;
    worker->unheld = 7;
    workers_write(state);
    worker->vaults.unreached[0] = false;
    worker->unheld = 0;

    /* Another process takes its place. */
    cJSON *item, *resumed = NULL;
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(state, "workers"))
    {
        if (cJSON_GetObjectItem(item, "pid")->valueint == worker->child.pid)
            resumed = item;
    }
    ck_assert(channel_pair(pair, &error));
    pid_t pid = fork();
    cJSON_ReplaceItemInObject(resumed, "pid", cJSON_CreateNumber(pid));
    cJSON_ReplaceItemInObject(resumed, "channel", cJSON_CreateNumber(pair[0]));
    cJSON_ReplaceItemInObject(resumed, "arena", cJSON_CreateNumber(-1));
    cJSON *list = cJSON_CreateArray(), *only = cJSON_CreateObject();
    cJSON_AddItemToArray(list, cJSON_Duplicate(resumed, true));
    cJSON_AddItemToObject(only, "vaults", cJSON_CreateArray());
    cJSON_AddItemToObject(only, "workers", list);
    workers_read(only);
    cJSON_Delete(only);
    cJSON_Delete(state);

    for (worker = workers_first(); worker != NULL && worker->child.pid != pid;)
        worker = worker->next;
    ck_assert(vaults_unreached(worker));
    ck_assert_uint_eq(worker->unheld, 7);
    ck_assert_uint_eq(shown_seats(pair[1]), 0);
    latest.timer->callback(latest.timer);
    ck_assert(!vaults_unreached(worker));
    ck_assert_uint_eq(shown_seats(pair[1]), 1u << 0);
    finish();
}
END_TEST

/* The replacement that was dropped for the new binary dies when another worker has its row. */
START_TEST(an_upgrade_that_fails_takes_no_row_away_from_a_worker)
{
    go_to(SERVING);
    end_child(fake_of(worker_of_slot(0)->child.pid), SIGSEGV);
    master_acts();
    ask("upgrade");
    rehearse(rehearsing());
    spawned_at_exec = 2; /* the first gets the row of the worker that has died */
    master_acts();
    ck_assert(executed);
    uint32_t spawned = 0;
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        spawned += !worker_has_served(w);
        ck_assert_int_eq(board_head(master.board, w->row)->pid, w->child.pid);
        ck_assert_int_ne(board_head(master.board, w->row)->state, ROW_FREE);
    }
    ck_assert_uint_eq(spawned, 3); /* another one in the place of the one that was dropped */
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("orders");
    TCase *tcase = tcase_create("orders");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, every_order_has_its_outcome_at_every_stage, 0,
                        STAGES * (ORDERS - 1));
    tcase_add_loop_test(tcase, a_caller_that_waits_for_a_reload_is_told_that_the_server_ends,
                        AGAIN_PROBING, AGAIN_CONFIRMING + 1);
    tcase_add_loop_test(tcase, a_generation_that_was_dropped_is_never_put_to_use, AGAIN_PROBING,
                        AGAIN_CONFIRMING + 1);
    tcase_add_loop_test(tcase, a_start_that_fails_ends_the_server, PROBING, PROBE_SAID);
    tcase_add_loop_test(tcase, a_start_that_fails_ends_the_server, STARTING, ALL_SAID);
    tcase_add_loop_test(tcase, a_start_that_fails_ends_the_server, CONFIRMING, SERVING);
    tcase_add_test(tcase, an_upgrade_that_fails_takes_no_row_away_from_a_worker);
    tcase_add_test(tcase, a_reload_waits_until_every_vault_has_a_channel_to_every_worker);
    tcase_add_test(tcase, an_upgrade_does_not_wait_for_a_rehearsal_whose_end_is_not_reported);
    tcase_add_test(tcase, a_reload_asks_a_replacement_for_a_sign_of_life_too);
    tcase_add_test(tcase, a_worker_of_a_binary_that_knows_one_vault_is_shown_no_other);
    tcase_add_test(tcase, an_upgrade_hands_on_which_connections_no_vault_can_hold);
    tcase_add_test(tcase, stop_does_not_wait_as_quit_does);
    tcase_add_test(tcase, a_reload_does_not_succeed_while_a_process_is_silent);
    tcase_add_test(tcase, a_reload_that_fails_is_answered_and_the_waiting_order_goes_on);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
