/* Replacing the running binary, master included: SIGUSR2 and `pillion -s upgrade`. See upgrade.h.
 *
 * Rehearse: the new binary says whether it could take over (rehearsal.h).
 *
 * Exec: this process becomes the new binary (execve(2)), with the same pid, the same children, and
 * the same descriptors for listeners, channels, arenas, board and vaults.
 *
 * Resume: the new master takes up the state, and goes on with an ordinary reload, in which its own
 * workers take the connections over from those of the old binary.
 *
 * The owners of state (owners.h) hand their own parts on. Any failure before exec leaves the old
 * binary serving; after exec no failure is fatal (inherit.h). */
#include "master/upgrade.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/version.h"
#include "master/binary.h"
#include "master/control.h"
#include "master/handover.h"
#include "master/heartbeat.h"
#include "master/master.h"
#include "master/owners.h"
#include "master/rehearsal.h"
#include "master/reload.h"
#include "master/report.h"
#include "master/state.h"
#include "master/vaults.h"
#include "master/watchdog.h"
#include "master/workers.h"
#include "process/signals.h"
#include "process/startup.h"

static void (*postponed)(void);

static void conclude(const char *why)
{
    report(JOURNAL_UPGRADE_FAILED, NULL, "upgrade failed: %s; the running binary serves on", why);
    control_answer(ORDER_UPGRADE, true, false, why);
}

/* The server's state as a memory file, or -1 with the reason. */
static int write_state(struct error *error)
{
    cJSON *state = state_new();

    owners_write(state);
    cJSON_AddItemToObject(state, "journal", journal_write(&master.board->journal));
    int fd = state_write(state, error);
    cJSON_Delete(state);
    return fd;
}

/* Becomes the new binary. Returns only on failure. */
static void become(void)
{
    struct error error;

    int state = write_state(&error);
    if (state < 0) {
        conclude(error.text);
        return;
    }
    log_notice("becoming %s", binary_path());
    owners_keep_open(true);
    if (state_give(state, false, &error)) {
        workers_drop_unserved();
        signals_end();
        fexecve(binary_descriptor(), master.options->argv, environ);
        error_errno(&error, "cannot execute %s", binary_path());
        state_take_back();
    }
    owners_keep_open(false);
    close(state);
    conclude(error.text);
}

/* Why the new binary cannot take over. */
static void describe_failure(const struct rehearsal_outcome *outcome, struct text *why)
{
    char how[64];

    describe_status(outcome->status, how, sizeof(how));
    if (outcome->late_ms != 0)
        text_printf(why,
                    "the new binary has not said within %llu ms that it can take over, and was "
                    "ended (lookup_timeout, load_timeout and 10 s, of the configuration in "
                    "use)\n%s",
                    (unsigned long long)outcome->late_ms, outcome->said);
    else if (outcome->status == 0 && outcome->known)
        text_printf(why,
                    "%s knows one vault only, and %u connections are in others: they would be "
                    "lost; wait until they have ended, or restart the server\n",
                    binary_path(), vaults_beyond_first());
    else if (outcome->status == 0) /* and it printed nothing that a rehearsal prints */
        text_printf(why,
                    "%s is no Pillion, or one that does not know how to take over from version "
                    "%s: it was to rehearse that, and just ended\n%s",
                    binary_path(), PILLION_VERSION, outcome->said);
    else
        text_printf(why, "the new binary does not take over (%s)\n%s", how, outcome->said);
}

static void rehearsed(const struct rehearsal_outcome *outcome)
{
    struct text why = {0};
    bool loses = !outcome->knows_vaults && vaults_beyond_first() > 0;

    if (master.mode != MASTER_RUNNING) {
        /* The upgrade was abandoned. */
    } else if (!outcome->known || outcome->status != 0 || loses) {
        describe_failure(outcome, &why);
        conclude(text_string(&why));
        text_free(&why);
    } else if (reload_phase() != RELOAD_IDLE) {
        postponed();
    } else {
        become();
    }
    binary_close();
}

void upgrade_begin(void (*when_postponed)(void))
{
    struct error error;

    if (rehearsal_is_under_way())
        return; /* this order's clients are answered with the upgrade under way */
    postponed = when_postponed;
    int state = -1;
    if (!binary_open(&error) || (state = write_state(&error)) < 0 ||
        !rehearsal_begin(state, rehearsed, &error)) {
        binary_close();
        conclude(error.text);
    }
    if (state >= 0)
        close(state);
}

/* The former binary's board, or -1 where it is full of names of former configurations. */
static int board_of(const cJSON *state)
{
    int fd = (int)state_number(state, "board", -1);

    if (fd < 0 || !state_truth(state, "board_crowded"))
        return fd;
    log_notice("the names of methods that are gone leave no room for others: they are forgotten, "
               "and all counters begin again");
    close(fd);
    return -1;
}

bool upgrade_resume(int fd, const struct settings *settings, struct error *error)
{
    cJSON *state = state_read(fd, error);

    if (state == NULL)
        return false;
    master.board = board_resume(board_of(state), &master.board_anew, error);
    if (master.board == NULL) {
        cJSON_Delete(state);
        return false;
    }
    if (master.board_anew)
        journal_read(&master.board->journal, cJSON_GetObjectItemCaseSensitive(state, "journal"));
    state_default(state, "control_path", settings->control);
    state_default(state, "pid_path", settings->pid);
    owners_read(state);
    owners_keep_open(false);
    close(fd);
    cJSON_Delete(state);
    handover_replan();
    watchdog_start();
    heartbeat_start();
    report(JOURNAL_UPGRADE, &(struct report_subject){.pid = master.pid},
           "pillion %s has taken over as the master (pid %d)", PILLION_VERSION, (int)master.pid);
    return true;
}
