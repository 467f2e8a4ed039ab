/* The registry process, in the master. See registry.h. */
#include "master/registry.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"
#include "master/directory_memory.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/offers.h"
#include "master/readiness.h"
#include "master/registry_asked.h"
#include "master/registry_shown.h"
#include "master/report.h"
#include "master/state.h"
#include "net/directory.h"
#include "process/children.h"
#include "process/outbox.h"
#include "process/startup.h"
#include "registry/registry.h"

#define QUICK_NS     NS_PER_S
#define QUICK_MAX    3u /* ends soon after the start, one after the other, before it is waited */
#define BACKOFF_NS   NS_PER_S
#define FINISH_NS    NS_PER_S
#define END_MS       1000u /* for the process to end when it is told to */
#define MARGIN_MS    500u  /* for it to say that it had no answer */
#define ELSEWHERE_MS 500u  /* for those that watch to hear of it, and to look at it */

enum stage {
    STAGE_NONE,
    STAGE_RUNS,
    STAGE_REVOKES, /* it takes all addresses back, and is then to end */
    STAGE_ENDS     /* it was told to end */
};

/* How far the server's own end is. */
enum withdrawal { WITHDRAWAL_NONE, WITHDRAWAL_ASKED, WITHDRAWAL_DONE };

static struct {
    struct child child;
    struct outbox out;
    struct pulse pulse;
    struct startup startup;
    enum stage stage;
    uint64_t started_ns;
    uint32_t quick;    /* how many have ended soon after their start, one after the other */
    char *fingerprint; /* of the process; "" : of a former binary */
    int64_t lease;     /* 0: none */
    char *urls;        /* of its registry, each with a space behind it; NULL: not known, or none */
    bool has_settings; /* it speaks to a registry, and not to DNS alone */
    enum offer offered;
    struct timer respawn, deadline;
    char **wanted;
    size_t wanted_count;
    enum withdrawal withdrawal;
    uint64_t revoke_ms; /* the registry's time for that */
    void (*withdrawn)(void);
    struct timer elsewhere;
    void (*ended)(void);
} registry;

static void spawn_missing(struct timer *timer);

static bool is_wanted(void)
{
    const struct generation *current = generation_current();

    return master.mode == MASTER_RUNNING && current != NULL && current->settings != NULL &&
           (registry_asked() != NULL || registry.wanted_count > 0);
}

/* ---- Its messages ---- */

static void withdrawal_over(struct timer *timer)
{
    (void)timer;
    registry.withdrawal = WITHDRAWAL_DONE;
    if (registry.withdrawn != NULL)
        registry.withdrawn();
    registry.ended();
}

/* `good`: the registry has said that the addresses are gone. */
static void withdrawn(bool good)
{
    if (registry.withdrawal != WITHDRAWAL_ASKED || timer_is_set(&registry.elsewhere))
        return;
    if (!good)
        log_warn("the registry has not said that this server's addresses are gone: others may "
                 "call it until its lease is over (ttl)");
    /* Those that watch need not be waited for by a server that stops at once. */
    bool waits = good && master.mode == MASTER_RUNNING;
    timer_set(&master.loop, &registry.elsewhere, waits ? ELSEWHERE_MS * NS_PER_MS : 0,
              withdrawal_over);
}

static void end_late(struct timer *timer);

static void tell_end(void)
{
    registry.stage = STAGE_ENDS;
    if (!outbox_tell(&registry.out, MESSAGE_STOP, 0, 0))
        kill(registry.child.pid, SIGKILL);
    timer_set(&master.loop, &registry.deadline, END_MS * NS_PER_MS, end_late);
}

static void end_late(struct timer *timer)
{
    (void)timer;
    if (registry.stage == STAGE_REVOKES)
        tell_end();
    else if (registry.stage != STAGE_NONE)
        kill(registry.child.pid, SIGKILL);
}

static void revoked(bool good)
{
    registry.lease = 0;
    registry_shown_lease(0);
    if (good) /* former keys are gone with the lease, too */
        offers_forget_former();
    withdrawn(good);
    if (registry.stage == STAGE_REVOKES)
        tell_end();
}

static void lease_told(const struct message *message)
{
    registry.lease = (int64_t)message->serial;
    registry_shown_lease(registry.lease);
    if (message->number != 0)
        report(JOURNAL_REGISTRY_LEASE, &(struct report_subject){.pid = registry.child.pid},
               "the registry has ended this server's lease: its addresses are registered under "
               "another");
}

static void heard(struct child *child, struct message *message, const int *fds, uint32_t fd_count)
{
    (void)child;
    descriptors_close(fds, fd_count);
    switch (message->type) {
    case MESSAGE_ALIVE:
        pulse_heard(&registry.pulse, message->serial);
        break;
    case MESSAGE_FAILED:
        startup_note(&registry.startup, message);
        break;
    case MESSAGE_LEASE:
        lease_told(message);
        break;
    case MESSAGE_CONTACT:
        registry_shown_contact(registry.child.pid, message);
        break;
    case MESSAGE_FIGURES:
        registry_shown_figures(message);
        break;
    case MESSAGE_SERVICE: /* it may have been sent before the service was given up */
        if (strings_have((const char *const *)registry.wanted, registry.wanted_count,
                         message->text))
            registry_shown_service(message);
        break;
    case MESSAGE_FORGOTTEN:
        if (registry.stage == STAGE_RUNS)
            offers_forget_former();
        break;
    case MESSAGE_REVOKED:
        revoked(message->number != 0);
        break;
    default:
        break;
    }
}

/* ---- Its end ---- */

static void tell_ended(int status)
{
    char how[STATUS_WORDS_MAX];

    startup_status(&registry.startup, status, how);
    report(JOURNAL_REGISTRY_ENDED, &(struct report_subject){.pid = registry.child.pid},
           "the registry process (pid %d) ended (%s%s%s): another is started%s",
           (int)registry.child.pid, how, registry.startup.failed ? ": " : "",
           registry.startup.failure, registry.lease == 0 ? "" : ", and goes on with its lease");
}

static void ended(struct child *child, int status)
{
    bool told = registry.stage != STAGE_RUNS;

    if (told || clock_ns() - registry.started_ns >= QUICK_NS)
        registry.quick = 0;
    else
        registry.quick++;
    child_hear(child);
    if (!told && master.mode == MASTER_RUNNING)
        tell_ended(status);
    /* Addresses that it was to take back are taken back by the next one. */
    bool again = registry.withdrawal == WITHDRAWAL_ASKED && master.mode == MASTER_RUNNING;
    if (!again)
        timer_cancel(&master.loop, &registry.deadline);
    outbox_clear(&registry.out);
    child_close(child);
    registry.child = (struct child){0};
    registry.stage = STAGE_NONE;
    readiness_stop();
    registry_shown_end();
    if (!again)
        withdrawn(false);
    if (is_wanted())
        timer_set(&master.loop, &registry.respawn, registry.quick > QUICK_MAX ? BACKOFF_NS : 0,
                  spawn_missing);
    registry.ended();
}

static const struct child_events events = {.heard = heard, .ended = ended};

/* ---- Starting it ---- */

static void offer(enum offer how)
{
    if (registry.stage != STAGE_RUNS || registry.withdrawal != WITHDRAWAL_NONE ||
        how == registry.offered)
        return;
    registry.offered = how;
    outbox_tell(&registry.out, MESSAGE_OFFER, 0, how);
}

static void follow(pid_t pid, int channel)
{
    registry.stage = STAGE_RUNS;
    registry.started_ns = clock_ns();
    registry.startup = (struct startup){0};
    registry.pulse = (struct pulse){.known = true};
    registry.out = (struct outbox){.loop = &master.loop, .channel = channel};
    if (!child_listen(&registry.child, &master.loop, channel, &events))
        log_error("cannot watch the channel of the registry process: errno %d", errno);
    child_follow(&registry.child, pid, &events);
}

static void fill(struct registry_start *start)
{
    bool leaves = registry.withdrawal != WITHDRAWAL_NONE;

    *start = (struct registry_start){
        .directory = directory_memory_descriptor(),
        .generation = generation_current(),
        .master = master.pid,
        .lease = registry.withdrawal == WITHDRAWAL_DONE ? 0 : registry.lease,
        .offer = leaves ? OFFER_NONE : registry.offered,
        .wanted = (const char *const *)registry.wanted,
        .wanted_count = registry.wanted_count};
    if (leaves || registry_asked() == NULL)
        return;
    start->offers = offers_now(&start->offer_count);
    start->former = offers_former(&start->former_count);
}

static bool spawn(struct error *error)
{
    struct registry_start start;
    int pair[2];

    if (directory_memory() == NULL)
        return error_set(error, "there is no memory for the directory of services");
    fill(&start);
    if (!channel_pair(pair, error))
        return false;
    /* Before the process reads its files: one that changes in between makes another process follow,
     * and is not taken for read. */
    char *print = registry_asked_fingerprint();
    start.channel = pair[1];
    pid_t pid = fork();
    if (pid == 0)
        registry_main(&start);
    close(pair[1]);
    if (pid < 0) {
        error_errno(error, "cannot start the registry process");
        close(pair[0]);
        free(print);
        return false;
    }
    follow(pid, pair[0]);
    pulse_greet(pair[0]);
    free(registry.fingerprint);
    registry.fingerprint = print;
    registry.has_settings = registry_asked() != NULL;
    free(registry.urls);
    registry.urls = registry_asked_urls();
    registry_shown_start(pid, registry_asked());
    if (registry.withdrawal == WITHDRAWAL_ASKED)
        outbox_tell(&registry.out, MESSAGE_REVOKE, 0, registry.revoke_ms);
    if (start.offer_count > 0)
        readiness_watch(registry.offered, offer);
    return true;
}

static void spawn_missing(struct timer *timer)
{
    struct error error;

    (void)timer;
    if (registry.stage != STAGE_NONE || !is_wanted() || spawn(&error))
        return;
    log_error("%s; trying again", error.text);
    timer_set(&master.loop, &registry.respawn, BACKOFF_NS, spawn_missing);
}

/* ---- All of it ---- */

void registry_begin(void (*when_ended)(void))
{
    registry.ended = when_ended;
    registry.offered = OFFER_WHOLE;
}

/* Ends the process, to make room for another. Where nothing is to be registered any more, or
 * elsewhere, it takes all back before; otherwise the next one goes on with its lease. */
static void replace(void)
{
    size_t count;

    offers_now(&count);
    bool revokes =
        registry.has_settings && registry.lease != 0 &&
        (registry_asked() == NULL || count == 0 || registry_asked_elsewhere(registry.urls));
    uint64_t most_ms = registry_asked() == NULL ? 2500 : registry_asked()->timeout_ms;
    if (revokes && outbox_tell(&registry.out, MESSAGE_REVOKE, 0, most_ms)) {
        registry.stage = STAGE_REVOKES;
        timer_set(&master.loop, &registry.deadline, (most_ms + MARGIN_MS) * NS_PER_MS, end_late);
        return;
    }
    tell_end();
}

void registry_serve(void)
{
    offers_set(generation_current());
    if (registry.stage == STAGE_NONE) {
        if (is_wanted() && !timer_is_set(&registry.respawn))
            spawn_missing(&registry.respawn);
        return;
    }
    if (registry.stage != STAGE_RUNS)
        return; /* another one follows in any case */
    char *print = registry_asked_fingerprint();
    if (!is_wanted() || strcmp(print, registry.fingerprint) != 0)
        replace();
    free(print);
}

static void tell_watch(const char *name, bool on)
{
    struct message message = {.type = MESSAGE_WATCH, .number = on};

    if (registry.stage != STAGE_RUNS)
        return;
    snprintf(message.text, sizeof(message.text), "%s", name);
    outbox_send(&registry.out, &message, -1);
}

/* Tells the process which of `these` are not among `those` (`on`: wanted from now on). */
static void tell_others(const char *const *these, size_t count, const char *const *those,
                        size_t those_count, bool on)
{
    for (size_t i = 0; i < count; i++) {
        if (strings_have(those, those_count, these[i]))
            continue;
        tell_watch(these[i], on);
    }
}

void registry_wants(const char *const *services, size_t count)
{
    const char *const *before = (const char *const *)registry.wanted;
    size_t before_count = registry.wanted_count, common = 0;
    char **wanted = must_zalloc((count + 1) * sizeof(*wanted));

    for (size_t i = 0; i < count; i++) {
        wanted[i] = must_strdup(services[i]);
        common += strings_have(before, before_count, services[i]);
    }
    /* New ones come first: they begin with what former ones know. But the process has room for so
     * many only, and would not look for one that comes too early. */
    bool crowded = before_count + count - common > DIRECTORY_SERVICES_MAX;
    if (crowded)
        tell_others(before, before_count, services, count, false);
    tell_others(services, count, before, before_count, true);
    if (!crowded)
        tell_others(before, before_count, services, count, false);
    for (size_t i = 0; i < before_count; i++)
        free(registry.wanted[i]);
    free(registry.wanted);
    registry.wanted = wanted;
    registry.wanted_count = count;
    registry_shown_wanted(services, count);
    if (registry.stage == STAGE_NONE && is_wanted() && !timer_is_set(&registry.respawn))
        spawn_missing(&registry.respawn);
}

bool registry_reopen(void)
{
    struct message message = {.type = MESSAGE_LOG};
    int fd = log_descriptor();

    return registry.stage == STAGE_NONE || fd <= STDERR_FILENO ||
           outbox_send(&registry.out, &message, fd) || errno == EPIPE;
}

void registry_round(const struct pulse_round *round)
{
    if (registry.stage == STAGE_NONE || pulse_round(&registry.pulse, registry.child.pid,
                                                    registry.child.channel.fd, round, false, false))
        return;
    report(JOURNAL_HANG, &(struct report_subject){.pid = registry.child.pid},
           "the registry process (pid %d) gives no sign of life (heartbeat_timeout): it is ended "
           "and replaced",
           (int)registry.child.pid);
    kill(registry.child.pid, SIGKILL);
}

/* ---- The end ---- */

/* Asks for it once. False when nothing is registered, or nobody is there to be asked. */
static bool ask_back(uint64_t timeout_ms)
{
    size_t count;

    offers_now(&count);
    if (registry.withdrawal != WITHDRAWAL_NONE)
        return true;
    bool can = registry.stage == STAGE_RUNS || master.mode == MASTER_RUNNING;
    if (!can || !registry.has_settings || (registry.lease == 0 && count == 0)) {
        registry.withdrawal = WITHDRAWAL_DONE;
        return false;
    }
    readiness_stop();
    registry.withdrawal = WITHDRAWAL_ASKED;
    registry.revoke_ms = timeout_ms;
    if (registry.stage == STAGE_RUNS) /* where that fails, the process has ended: another follows */
        outbox_tell(&registry.out, MESSAGE_REVOKE, 0, timeout_ms);
    else if (registry.stage == STAGE_NONE)
        timer_set(&master.loop, &registry.respawn, 0, spawn_missing);
    return true;
}

static void withdraw_late(struct timer *timer)
{
    (void)timer;
    withdrawn(false);
}

bool registry_withdraw(void (*done)(void), uint64_t *most_ms)
{
    uint64_t timeout_ms = registry_asked() == NULL ? 0 : registry_asked()->timeout_ms;

    registry.withdrawn = done;
    if (!ask_back(timeout_ms) || registry.withdrawal == WITHDRAWAL_DONE)
        return false;
    *most_ms = timeout_ms + MARGIN_MS + ELSEWHERE_MS;
    timer_set(&master.loop, &registry.deadline, (timeout_ms + MARGIN_MS) * NS_PER_MS,
              withdraw_late);
    return true;
}

bool registry_finish(void)
{
    bool asked = ask_back(END_MS);

    registry.withdrawn = NULL;
    if (!asked || registry.withdrawal == WITHDRAWAL_DONE)
        return true;
    if (!timer_is_set(&registry.deadline))
        timer_set(&master.loop, &registry.deadline, (END_MS + MARGIN_MS) * NS_PER_MS,
                  withdraw_late);
    return false;
}

void registry_end(void)
{
    if (registry.stage != STAGE_NONE)
        kill(registry.child.pid, SIGKILL);
}

/* ---- Upgrade ---- */

void registry_write(cJSON *state)
{
    cJSON *item = cJSON_AddObjectToObject(state, "registry");
    char lease[24];

    snprintf(lease, sizeof(lease), "%lld", (long long)registry.lease); /* beyond 2^53 */
    cJSON_AddStringToObject(item, "lease", lease);
    cJSON_AddNumberToObject(item, "offered", registry.offered);
    cJSON_AddBoolToObject(item, "has_settings", registry.has_settings);
    cJSON_AddNumberToObject(item, "pid", registry.stage == STAGE_NONE ? 0 : registry.child.pid);
    cJSON_AddNumberToObject(item, "channel",
                            registry.stage == STAGE_NONE ? -1 : registry.child.channel.fd);
    offers_write(state);
}

void registry_read(const cJSON *state)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(state, "registry");
    double pid = state_number(item, "pid", 0);

    registry.lease = strtol(state_words(item, "lease", "0"), NULL, 10);
    registry.offered = (enum offer)state_number(item, "offered", OFFER_WHOLE);
    registry.has_settings = state_truth(item, "has_settings");
    registry.fingerprint = must_strdup("");
    offers_read(state);
    if (pid > 0)
        follow((pid_t)pid, (int)state_number(item, "channel", -1));
}

void registry_keep_open(bool keep)
{
    if (registry.stage == STAGE_NONE)
        return;
    if (keep && !outbox_finish(&registry.out, FINISH_NS))
        log_warn("the registry process does not read its messages");
    state_keep_open(registry.child.channel.fd, keep);
}
