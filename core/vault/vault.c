/* A vault's loop: channels to the master and to every worker. See vault.h. */
#include "vault/vault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/log_seldom.h"
#include "base/memory.h"
#include "event/loop.h"
#include "process/channel.h"
#include "process/child.h"
#include "process/sandbox.h"
#include "process/title.h"
#include "vault/vault_table.h"

/* How soon a GIVE is tried again: too many descriptors are under way, or the sockets have yet to
 * come. */
#define RETRY_NS    NS_PER_MS
#define REFUSED_MAX (1u << 20) /* ids that a worker does not read: no worker has so many */
/* How long a vault takes nothing once it has run out of descriptors. */
#define CLOSED_NS (200 * NS_PER_MS)
#define TURN      64u              /* messages of one worker, until others are read */
#define REPORT_NS (20 * NS_PER_MS) /* between two reports to the master */

struct vault_worker {
    struct watch watch;
    struct timer retry;
    uint32_t serial;
    bool dead; /* by the master's word, or because its channel is closed */
    bool cut;  /* its channel was closed before the master said DEAD; the master is to be told */
    bool late; /* after a vault's restart it has re-sent sockets that an adopter may own already */
    struct message *give; /* the worker's TAKE that is not answered yet */
    uint64_t received;    /* descriptors that it has sent, even those that did not arrive */
    uint64_t answered;    /* how many of them the last HELD has told it of */
    uint64_t *refused;    /* ids of the next REFUSED */
    uint32_t refused_count, refused_capacity;
    bool waits; /* it was told that there is no room, and is to be told when there is */
    struct timer answer_again;
    struct vault_worker *next; /* of `workers`, or of `forgotten` */
};

/* The one vault of this process. */
static struct {
    struct loop loop;
    struct watch master;
    struct vault_table table;
    struct vault_worker *workers;
    /* Are freed at the end of the batch: a function may have one in hand. */
    struct vault_worker *forgotten;
    const struct vault_start *start;
    bool surplus;
    bool asked; /* a MESSAGE_BEAT has come and is not answered yet */
    uint64_t question;
    uint64_t refused;                 /* number of sockets, since the start */
    uint64_t told_held, told_refused; /* what the last report said */
    struct timer reported;            /* set: the last report was a moment ago */
    struct timer closed; /* set: descriptors have run out a moment ago; no socket is taken */
} vault;

static struct vault_worker *worker_find(uint64_t serial)
{
    for (struct vault_worker *w = vault.workers; w != NULL; w = w->next) {
        if (w->serial == serial)
            return w;
    }
    return NULL;
}

static void worker_close(struct vault_worker *worker)
{
    worker->dead = true;
    timer_cancel(&vault.loop, &worker->retry);
    timer_cancel(&vault.loop, &worker->answer_again);
    free(worker->give);
    worker->give = NULL;
    free(worker->refused);
    worker->refused = NULL;
    worker->refused_count = worker->refused_capacity = 0;
    worker->waits = false;
    if (worker->watch.index != 0) {
        loop_unwatch(&vault.loop, &worker->watch);
        close(worker->watch.fd);
    }
}

static void worker_forget(struct vault_worker *worker)
{
    worker_close(worker);
    for (struct vault_worker **at = &vault.workers; *at != NULL; at = &(*at)->next) {
        if (*at == worker) {
            *at = worker->next;
            worker->next = vault.forgotten;
            vault.forgotten = worker;
            return;
        }
    }
}

/* ---- Held sockets ---- */

static uint32_t room(void)
{
    uint32_t limit = !timer_is_set(&vault.closed) ? vault.start->limit : 0;
    return vault.table.count < limit ? limit - vault.table.count : 0;
}

/* Wakes the loop: batch_done, which follows, does the work that waited for the timer. */
static void look_again(struct timer *timer)
{
    (void)timer;
}

/* Tells the master how many sockets are held and refused, if that has changed, at most every
 * REPORT_NS. */
static void report(void)
{
    struct message message = {.type = MESSAGE_HELD, .number = vault.table.count, .count = 1};

    message.ids[0] = vault.refused;
    if (timer_is_set(&vault.reported) ||
        (vault.told_held == message.number && vault.told_refused == vault.refused))
        return;
    if (channel_send(vault.master.fd, &message, true, NULL, 0)) {
        vault.told_held = message.number;
        vault.told_refused = vault.refused;
    }
    timer_set(&vault.loop, &vault.reported, REPORT_NS, look_again);
}

static void answer_again(struct timer *timer);

/* Tells the worker how many of its descriptors were received and which were refused. */
static void answer(struct vault_worker *worker)
{
    struct message message = {.type = MESSAGE_REFUSED};

    while (worker->watch.index != 0 && worker->refused_count > 0) {
        message.count =
            worker->refused_count < CHANNEL_FDS_MAX ? worker->refused_count : CHANNEL_FDS_MAX;
        const uint64_t *last = worker->refused + worker->refused_count - message.count;
        memcpy(message.ids, last, message.count * sizeof(*last));
        if (!channel_send(worker->watch.fd, &message, true, NULL, 0))
            break;
        worker->refused_count -= message.count;
    }
    if (worker->watch.index == 0)
        return;
    message = (struct message){.type = MESSAGE_HELD, .number = worker->received, .count = 1};
    message.ids[0] = room();
    if (worker->refused_count == 0 && channel_send(worker->watch.fd, &message, true, NULL, 0)) {
        worker->answered = worker->received;
        worker->waits = message.ids[0] == 0;
    } else {
        timer_set(&vault.loop, &worker->answer_again, RETRY_NS, answer_again);
    }
}

static void answer_again(struct timer *timer)
{
    answer(container_of(timer, struct vault_worker, answer_again));
}

static void refuse(struct vault_worker *worker, uint64_t id)
{
    if (worker->refused_count == worker->refused_capacity) {
        worker->refused_capacity =
            worker->refused_capacity == 0 ? 64 : worker->refused_capacity * 2;
        worker->refused =
            must_realloc(worker->refused, worker->refused_capacity * sizeof(*worker->refused));
    }
    worker->refused[worker->refused_count++] = id;
    vault.refused++;
}

/* At the end of a batch of events: answers the workers that have sent sockets, or that do not know
 * yet whether there is room. */
static void batch_done(struct loop *loop, void *context)
{
    (void)context;
    report();
    if (vault.asked) /* the answer means that the loop runs, so only the loop gives it */
        channel_tell(vault.master.fd, MESSAGE_ALIVE, vault.question, 0);
    vault.asked = false;
    if (vault.surplus && vault.table.count == 0)
        loop_stop(loop);
    for (struct vault_worker *w = vault.workers; w != NULL; w = w->next) {
        /* If the master has given the worker a new channel meanwhile, worker_find finds that entry
         * first. */
        if (w->cut && worker_find(w->serial) == w)
            channel_tell(vault.master.fd, MESSAGE_CUT, w->serial, 0);
        w->cut = false;
        if (w->watch.index != 0 && !timer_is_set(&w->answer_again) &&
            (w->answered != w->received || w->refused_count > 0 || w->waits != (room() == 0)))
            answer(w);
    }
    while (vault.forgotten != NULL) {
        struct vault_worker *next = vault.forgotten->next;
        free(vault.forgotten);
        vault.forgotten = next;
    }
}

/* ---- Messages of workers ---- */

static void log_full(uint32_t lost, bool truncated)
{
    log_seldom(LOG_WARN_LEVEL, NULL,
               "vault %u holds %u sockets and %s: %u are not held, and would not survive their "
               "worker; raise the limit on open files (worker_rlimit_nofile) or vault_processes",
               vault.start->seat, vault.table.count,
               truncated ? "is out of descriptors" : "has no room for more", lost);
}

static void master_drain(void);

/* True when another worker that lives has the socket: only a module says or drops it then. One that
 * is late may have sent sockets here that an adopter has already. */
static bool is_anothers(const struct vault_worker *worker, uint64_t id)
{
    const struct vault_entry *entry = vault_table_find(&vault.table, id);

    if (entry == NULL || entry->owner == worker->serial)
        return false;
    master_drain(); /* which may have the news of the owner's end */
    entry = vault_table_find(&vault.table, id);
    const struct vault_worker *owner = entry == NULL ? NULL : worker_find(entry->owner);
    if (owner == NULL || owner == worker || owner->dead || owner->late)
        return false;
    log_seldom(LOG_ERROR_LEVEL, NULL,
               "worker process %u has spoken of a connection of worker process %u, which only a "
               "module can have done; it is not heeded",
               worker->serial, owner->serial);
    return true;
}

static void hold(struct vault_worker *worker, const struct message *message, const int *fds,
                 uint32_t fd_count)
{
    uint32_t lost = 0;

    worker->received += message->count;
    for (uint32_t i = 0; i < message->count; i++) {
        uint64_t id = message->ids[i];
        bool known = vault_table_find(&vault.table, id) != NULL;
        /* Sent again by a worker that leaves (`number`): an adopter may have handed the socket over
         * before. */
        worker->late |= message->number != 0;
        if ((message->number != 0 && known) || is_anothers(worker, id)) {
            if (i < fd_count)
                descriptor_close(fds[i]);
        } else if (i < fd_count && (known || room() > 0)) {
            vault_table_put(&vault.table, id, fds[i], worker->serial);
        } else {
            if (i < fd_count)
                descriptor_close(fds[i]);
            lost++;
            refuse(worker, id);
        }
    }
    for (uint32_t i = message->count; i < fd_count; i++)
        descriptor_close(fds[i]);
    if (fd_count < message->count)
        timer_set(&vault.loop, &vault.closed, CLOSED_NS, look_again);
    if (lost > 0)
        log_full(lost, fd_count < message->count);
}

static bool lives(uint64_t serial)
{
    const struct vault_worker *worker = worker_find(serial);
    return worker != NULL && !worker->dead;
}

/* A socket may be given when the worker that owns it is dead. A worker that owns the socket already
 * asks for it again after it had no descriptor left to receive it. */
static bool may_give(const struct vault_entry *entry, uint32_t asker)
{
    return entry->owner == asker || !lives(entry->owner);
}

/* True when the answer to what the worker has asked depends on whether another one lives. */
static bool depends_on_news(const struct vault_worker *worker)
{
    const struct message *asked = worker->give;

    if (lives(asked->serial))
        return true;
    for (uint32_t i = 0; i < asked->count; i++) {
        const struct vault_entry *entry = vault_table_find(&vault.table, asked->ids[i]);
        if (entry != NULL && !may_give(entry, worker->serial))
            return true;
    }
    return false;
}

static void give_again(struct timer *timer);

/* Answers the worker's TAKE. The sockets' owner changes only if the message was sent. */
static void give(struct vault_worker *worker)
{
    struct message message = {.type = MESSAGE_GIVE};
    int fds[CHANNEL_FDS_MAX];

    /* The news of a death may still be in the master's channel, since the master tells the vaults
     * before it tells the adopter. All of it is read before any socket is chosen: it may close
     * sockets, and may be of the asker's own death. */
    if (depends_on_news(worker))
        master_drain();
    const struct message *asked = worker->give;
    if (asked == NULL)
        return;
    /* While this vault is new, the former owner may live and have yet to hand over to it the
     * connections that it has let go of. */
    if (lives(asked->serial)) {
        timer_set(&vault.loop, &worker->retry, RETRY_NS, give_again);
        return;
    }
    message.serial = asked->serial;
    for (uint32_t i = 0; i < asked->count; i++) {
        const struct vault_entry *entry = vault_table_find(&vault.table, asked->ids[i]);
        if (entry == NULL || !may_give(entry, worker->serial)) {
            message.number++;
            continue;
        }
        fds[message.count] = entry->fd;
        message.ids[message.count++] = entry->id;
    }
    if (!channel_send(worker->watch.fd, &message, true, fds, message.count)) {
        if (errno != EPIPE && errno != ECONNRESET)
            timer_set(&vault.loop, &worker->retry, RETRY_NS, give_again);
        return;
    }
    for (uint32_t i = 0; i < message.count; i++)
        vault_table_find(&vault.table, message.ids[i])->owner = worker->serial;
    free(worker->give);
    worker->give = NULL;
}

static void give_again(struct timer *timer)
{
    give(container_of(timer, struct vault_worker, retry));
}

static void worker_message(struct vault_worker *worker, const struct message *message,
                           const int *fds, uint32_t fd_count)
{
    switch (message->type) {
    case MESSAGE_HOLD:
        hold(worker, message, fds, fd_count);
        return;
    case MESSAGE_DROP:
        for (uint32_t i = 0; i < message->count; i++) {
            if (!is_anothers(worker, message->ids[i]))
                vault_table_drop(&vault.table, message->ids[i]);
        }
        break;
    case MESSAGE_TAKE:
        if (worker->give == NULL) {
            worker->give = must_alloc(sizeof(*message));
            memcpy(worker->give, message, sizeof(*message));
            give(worker);
        }
        break;
    default:
        break;
    }
    descriptors_close(fds, fd_count);
}

/* Reads up to `most` of the messages that the worker has sent. */
static void worker_read(struct vault_worker *worker, uint32_t most)
{
    struct message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count;

    for (uint32_t i = 0; i < most && worker->watch.index != 0; i++) {
        switch (channel_receive(worker->watch.fd, &message, fds, &fd_count)) {
        case CHANNEL_MESSAGE:
            worker_message(worker, &message, fds, fd_count);
            if (worker->refused_count <= REFUSED_MAX)
                break;
            worker->cut = !worker->dead;
            worker_close(worker);
            return;
        case CHANNEL_EMPTY:
            return;
        case CHANNEL_CLOSED:
            worker->cut = !worker->dead;
            worker_close(worker);
            return;
        }
    }
}

/* Reads all that the worker has sent. */
static void worker_drain(struct vault_worker *worker)
{
    worker_read(worker, UINT32_MAX);
}

/* A worker that never ends sending must not hold the others up. */
static void worker_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    worker_read(container_of(watch, struct vault_worker, watch), TURN);
}

/* ---- Messages of the master ---- */

static void worker_add(uint64_t serial, int fd)
{
    struct vault_worker *worker = must_zalloc(sizeof(*worker));
    struct error error;

    if (!loop_watch(&vault.loop, &worker->watch, fd, EPOLLIN, worker_ready)) {
        int number = errno;
        error_errno(&error, "vault %u cannot watch the channel of worker process %llu",
                    vault.start->seat, (unsigned long long)serial);
        log_error("%s", error.text);
        channel_tell(vault.master.fd, MESSAGE_UNREACHED, serial, (uint64_t)number);
        close(fd);
        free(worker);
        return;
    }
    worker->serial = (uint32_t)serial;
    worker->next = vault.workers;
    vault.workers = worker;
    answer(worker); /* tells it that this vault answers, and how much room there is */
}

static void master_message(const struct message *message, const int *fds, uint32_t fd_count)
{
    struct vault_worker *worker = worker_find(message->serial);

    if (message->type == MESSAGE_WORKER && fd_count == 1) {
        worker_add(message->serial, fds[0]);
    } else if (message->type == MESSAGE_WORKER) {
        log_error("vault %u has no descriptor left for the channel of worker process %llu; raise "
                  "the limit on open files",
                  vault.start->seat, (unsigned long long)message->serial);
        channel_tell(vault.master.fd, MESSAGE_UNREACHED, message->serial, 0);
    } else if (message->type == MESSAGE_LOG && fd_count == 1) {
        log_adopt(fds[0]);
    } else if (message->type == MESSAGE_SURPLUS) {
        vault.surplus = message->number != 0;
    } else if (message->type == MESSAGE_BEAT) {
        vault.asked = true;
        vault.question = message->serial;
    } else if (message->type == MESSAGE_DEAD && worker != NULL && !worker->dead) {
        worker_drain(worker);
        worker->dead = true;
    } else if (message->type == MESSAGE_RETIRE) {
        /* An adopter that took one through the previous vault may not have handed it to this one
         * yet: those are neither shut down nor lost. */
        bool end = worker == NULL || !worker->late;
        if (worker != NULL)
            worker_forget(worker);
        uint32_t left = vault_table_retire(&vault.table, (uint32_t)message->serial, end);
        if (left > 0 && end)
            log_warn("closed %u connections of worker process %llu that nobody took over", left,
                     (unsigned long long)message->serial);
    }
}

static void master_drain(void)
{
    if (channel_hear(vault.master.fd, master_message) == CHANNEL_CLOSED)
        _exit(0);
}

static void master_ready(struct watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
    master_drain();
}

_Noreturn void vault_main(const struct vault_start *start)
{
    char name[32];
    struct error error;

    vault.start = start;
    child_begin(&start->channel, 1);
    snprintf(name, sizeof(name), "vault %u", start->seat);
    log_identity(name);
    title_set("%s", name);
    limit_open_files(start->files);
    if (!privilege_drop(start->identity, start->master, &error) ||
        !loop_init(&vault.loop, &error)) {
        log_error("%s cannot start: %s", name, error.text);
        _exit(1);
    }
    /* Workers have the same user: no worker may trace this process, or take its sockets
     * (ptrace(2), pidfd_getfd(2)). Where the master has that user too, workers could trace the
     * master anyway. */
    if (start->identity->change)
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (!loop_watch(&vault.loop, &vault.master, start->channel, EPOLLIN, master_ready)) {
        log_error("%s cannot watch its master: errno %d", name, errno);
        _exit(1);
    }
    vault.loop.after_batch = batch_done;
    if (start->locked)
        sandbox_enter_bare();
    loop_run(&vault.loop);
    _exit(0);
}
