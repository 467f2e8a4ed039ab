/* Keeping a vault, in the master: starting it, starting another when it dies, and making the
 * channels between it and the workers. See master.h. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "process/master.h"
#include "process/vault.h"

#define QUICK_NS   NS_PER_S
#define BACKOFF_NS (100 * NS_PER_MS)

static void vault_silent(struct watch *watch, uint32_t events)
{
    (void)events;
    /* The vault never speaks: this is its end, and SIGCHLD tells the rest. */
    loop_unwatch(&master.loop, watch);
}

static void vault_introduce(void);

bool vault_spawn(struct error *error)
{
    const struct generation *generation = master.current == NULL ? master.next : master.current;
    struct identity identity = generation->identity;
    int pair[2];

    if (!channel_pair(pair, error))
        return false;
    pid_t pid = fork();
    if (pid == 0)
        vault_main(pair[1], &identity, master.pid);
    close(pair[1]);
    if (pid < 0) {
        error_errno(error, "cannot start the vault");
        close(pair[0]);
        return false;
    }
    master.vault_pid = pid;
    master.vault_started_ns = clock_ns();
    if (!loop_watch(&master.loop, &master.vault, pair[0], EPOLLIN, vault_silent))
        return error_errno(error, "cannot watch the vault's channel");
    vault_introduce();
    return true;
}

void vault_resume(pid_t pid, int channel)
{
    if (pid == 0)
        return;
    master.vault_pid = pid;
    master.vault_started_ns = clock_ns();
    if (!loop_watch(&master.loop, &master.vault, channel, EPOLLIN, vault_silent))
        log_error("cannot watch the vault's channel: errno %d", errno);
}

int vault_connect(uint32_t serial)
{
    struct message message = {.type = MESSAGE_WORKER, .serial = serial};
    struct error error;
    int pair[2];

    if (master.vault_pid == 0 || !channel_pair(pair, &error))
        return -1;
    bool sent = channel_send(master.vault.fd, &message, false, &pair[0], 1);
    close(pair[0]);
    if (sent)
        return pair[1];
    close(pair[1]);
    return -1;
}

void vault_tell(enum message_type type, uint32_t serial)
{
    if (master.vault_pid != 0)
        channel_tell(master.vault.fd, type, serial, 0);
}

static void show_vault(struct worker *worker)
{
    struct message message = {.type = MESSAGE_VAULT, .serial = master.vault_started_ns};
    int channel = vault_connect(worker->serial);

    if (channel < 0)
        return;
    if (channel_send(worker->channel.fd, &message, false, &channel, 1))
        worker->vault = message.serial;
    close(channel);
}

/* Shows every worker the way to a new vault; each hands its sockets over again. Those that leave
 * come first: the vault must know whom to wait for before it is asked for what they have let go of.
 */
static void vault_introduce(void)
{
    for (struct worker *w = master.workers; w != NULL; w = w->next) {
        if (!w->probe && !w->died && w->state == WORKER_LEAVING &&
            (!w->released || handover_awaits(w->serial)))
            show_vault(w);
    }
    for (struct worker *w = master.workers; w != NULL; w = w->next) {
        if (!w->probe && w->state != WORKER_LEAVING)
            show_vault(w);
    }
}

static void vault_respawn(struct timer *timer)
{
    struct error error;

    (void)timer;
    if (master.mode != MASTER_RUNNING)
        return;
    if (vault_spawn(&error))
        return;
    log_error("%s; trying again", error.text);
    timer_set(&master.loop, &master.vault_respawn, BACKOFF_NS, vault_respawn);
}

void vault_gone(int status)
{
    char how[64];

    loop_unwatch(&master.loop, &master.vault);
    close(master.vault.fd);
    master.vault_pid = 0;
    if (master.mode != MASTER_RUNNING)
        return;
    describe_status(status, how, sizeof(how));
    counter_add(&master.board->vault_restarts, 1);
    log_error("the vault ended (%s): another is started, and the workers hand their sockets over "
              "to it",
              how);
    bool quick = clock_ns() - master.vault_started_ns < QUICK_NS;
    master.vault_quick_deaths = quick ? master.vault_quick_deaths + 1 : 0;
    if (master.vault_quick_deaths > 2)
        timer_set(&master.loop, &master.vault_respawn, BACKOFF_NS, vault_respawn);
    else
        vault_respawn(&master.vault_respawn);
}
