/* Replacing the running binary, master included: SIGUSR2 and `pillion -s upgrade`. See upgrade.h.
 *
 * Rehearse: the new binary is started beside the server with a copy of the state. It reads that and
 * the configuration, runs a probe over the modules, exactly as it will, and says that it does.
 *
 * Exec: this process becomes the new binary (execve(2)): same pid, same children, the same
 * descriptors for listeners, channels, arenas, the board and the vault.
 *
 * Resume: the new master takes up the state, and goes on with an ordinary reload, in which its own
 * workers take the connections over from those of the old binary.
 *
 * The state is a JSON document in a memory file, named by an environment variable: members can be
 * added later, and a binary of another version says what it misses instead of guessing. Whatever
 * fails before exec leaves the old binary serving; after it nothing is fatal (inherit.h). */
#include "master/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/version.h"
#include "master/control.h"
#include "master/generations.h"
#include "master/handover.h"
#include "master/inherit.h"
#include "master/keeper.h"
#include "master/master.h"
#include "master/pid_file.h"
#include "master/reload.h"
#include "master/state.h"
#include "master/workers.h"
#include "net/arena_layout.h"
#include "process/child.h"
#include "process/children.h"
#include "process/zones.h"

#define REHEARSE_LIMIT (60 * NS_PER_S)
#define REHEARSE_TEXT  4096u

static char binary[PATH_MAX]; /* where the binary is, since before it may be replaced */

/* The rehearsal under way. */
static struct {
    struct child child; /* its pid is 0 when there is none */
    int binary; /* what it executes, and nothing else is put to use: a path may lead elsewhere */
    struct watch output;
    struct timer limit;
    char text[REHEARSE_TEXT];
    size_t size;
    void (*postponed)(void);
} rehearsal = {.binary = -1};

void upgrade_init(void)
{
    ssize_t size = readlink("/proc/self/exe", binary, sizeof(binary) - 1);
    binary[size < 0 ? 0 : size] = '\0';
}

void upgrade_set_binary(const char *path)
{
    snprintf(binary, sizeof(binary), "%s", path);
}

/* ---- Writing the state ---- */

static void add(cJSON *object, const char *name, double number)
{
    cJSON_AddNumberToObject(object, name, number);
}

static void write_listeners(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "listeners");

    for (struct listener *l = master.listeners.first; l != NULL; l = l->next) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "address", l->address.text);
        add(item, "id", l->id);
        add(item, "backlog", l->backlog);
        cJSON_AddBoolToObject(item, "reuseport", l->reuseport);
        cJSON_AddBoolToObject(item, "reuseport_set", l->reuseport_set);
        state_add_file(item, "file", l->file);
        cJSON *fds = cJSON_AddArrayToObject(item, "fds");
        for (uint32_t i = 0; i < l->count; i++)
            cJSON_AddItemToArray(fds, cJSON_CreateNumber(l->fds[i]));
        cJSON_AddItemToArray(list, item);
    }
    add(state, "last_listener", master.listeners.last_id);
}

/* The state as a memory file, or -1 with the reason. */
static int state_write(struct error *error)
{
    cJSON *state = cJSON_CreateObject();

    add(state, "version", UPGRADE_STATE_VERSION);
    add(state, "arena_layout", ARENA_LAYOUT);
    cJSON_AddStringToObject(state, "binary", PILLION_VERSION);
    cJSON_AddStringToObject(state, "binary_path", binary);
    inherit_write(state, generation_current(), master.options);
    add(state, "binary_file", rehearsal.binary);
    add(state, "generation", (double)generation_last_number());
    add(state, "slots", generation_current()->slots);
    add(state, "last_serial", workers_last_serial());
    add(state, "board", board_descriptor());
    vaults_write(state);
    add(state, "pid_file", pid_file_descriptor());
    if (pid_file_path() != NULL)
        cJSON_AddStringToObject(state, "pid_path", pid_file_path());
    zones_write(state);
    write_listeners(state);
    workers_write(state);
    handover_write(state);
    control_write(state);
    char *text = cJSON_PrintUnformatted(state);
    cJSON_Delete(state);

    int fd = memfd_create("pillion state", 0);
    size_t size = strlen(text);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size) {
        error_errno(error, "cannot write down the server's state");
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    cJSON_free(text);
    return fd;
}

/* ---- Exec ---- */

/* The descriptors that the state names stay open over exec. */
void upgrade_keep_open(bool keep)
{
    for (struct listener *l = master.listeners.first; l != NULL; l = l->next) {
        for (uint32_t i = 0; i < l->count; i++)
            state_keep_open(l->fds[i], keep);
    }
    workers_keep_open(keep);
    handover_keep_open(keep);
    control_keep_open(keep);
    zones_keep_open(keep);
    inherit_keep_open(generation_current(), keep);
    state_keep_open(rehearsal.binary, keep); /* a script's interpreter opens it once more */
    state_keep_open(board_descriptor(), keep);
    vaults_keep_open(keep);
    state_keep_open(pid_file_descriptor(), keep);
}

static void name_state(const char *prefix, int fd)
{
    char value[64];
    snprintf(value, sizeof(value), "%s%d", prefix, fd);
    setenv(UPGRADE_VARIABLE, value, 1);
}

static void conclude(const char *why)
{
    log_error("upgrade failed: %s; the running binary serves on", why);
    control_answer(ORDER_UPGRADE, true, false, why);
}

/* Does not return, unless it fails. */
static void become(void)
{
    struct error error;
    int state;

    if (reload_phase() != RELOAD_IDLE) {
        rehearsal.postponed();
        return;
    }
    state = state_write(&error);
    if (state < 0) {
        conclude(error.text);
        return;
    }
    log_notice("becoming %s", binary);
    upgrade_keep_open(true);
    name_state("", state);
    workers_drop_unserved();
    signals_end();
    fexecve(rehearsal.binary, master.options->argv, environ);
    error_errno(&error, "cannot execute %s", binary);
    unsetenv(UPGRADE_VARIABLE);
    upgrade_keep_open(false);
    close(state);
    conclude(error.text);
}

/* ---- The rehearsal ---- */

static void rehearsal_ended(struct child *child, int status);
static const struct child_events rehearsal_events = {.ended = rehearsal_ended};

static void forget_binary(void)
{
    if (rehearsal.binary >= 0)
        close(rehearsal.binary);
    rehearsal.binary = -1;
}

static void rehearsal_late(struct timer *timer)
{
    (void)timer;
    kill(rehearsal.child.pid, SIGKILL);
}

static void output_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    ssize_t got = read(watch->fd, rehearsal.text + rehearsal.size,
                       sizeof(rehearsal.text) - 1 - rehearsal.size);
    if (got > 0) {
        rehearsal.size += (size_t)got;
        return;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    loop_unwatch(&master.loop, watch);
}

/* In the child: the new binary, with the server's own arguments. */
static _Noreturn void rehearse(int output, int state)
{
    child_begin((const int[]){output, state, rehearsal.binary}, 3);
    dup2(output, STDERR_FILENO);
    dup2(output, STDOUT_FILENO);
    name_state(UPGRADE_REHEARSE, state);
    state_keep_open(rehearsal.binary, true); /* as in upgrade_keep_open */
    fexecve(rehearsal.binary, master.options->argv, environ);
    dprintf(STDERR_FILENO, "cannot execute %s: %s\n", binary, strerror(errno));
    _exit(1);
}

void upgrade_begin(void (*postponed)(void))
{
    struct error error;
    int output[2];

    if (rehearsal.child.pid != 0)
        return; /* clients that wait for this are answered with the one under way */
    rehearsal.postponed = postponed;
    rehearsal.binary = open(binary, O_PATH | O_CLOEXEC);
    if (rehearsal.binary < 0) {
        error_errno(&error, "cannot open %s", binary);
        conclude(error.text);
        return;
    }
    int state = state_write(&error);
    if (state < 0) {
        forget_binary();
        conclude(error.text);
        return;
    }
    if (pipe2(output, O_CLOEXEC | O_NONBLOCK) < 0) {
        conclude("cannot create a pipe");
        forget_binary();
        close(state);
        return;
    }
    rehearsal.size = 0;
    pid_t pid = fork();
    if (pid == 0)
        rehearse(output[1], state);
    close(output[1]);
    close(state);
    if (pid < 0) {
        close(output[0]);
        forget_binary();
        conclude("cannot start a process for the rehearsal");
        return;
    }
    child_follow(&rehearsal.child, pid, &rehearsal_events);
    loop_watch(&master.loop, &rehearsal.output, output[0], EPOLLIN, output_ready);
    timer_set(&master.loop, &rehearsal.limit, REHEARSE_LIMIT, rehearsal_late);
}

bool upgrade_rehearses(void)
{
    return rehearsal.child.pid != 0;
}

void upgrade_abandon(void)
{
    if (rehearsal.child.pid != 0)
        kill(rehearsal.child.pid, SIGKILL);
}

/* What the rehearsal has said and how it ended decide. */
static void rehearsed(int status)
{
    char why[REHEARSE_TEXT + PATH_MAX + 256], how[64];

    static const char first[] = UPGRADE_REHEARSES "\n";
    bool known = strncmp(rehearsal.text, first, sizeof(first) - 1) == 0;
    static const char second[] = UPGRADE_KNOWS_VAULTS "\n";
    const char *said = rehearsal.text + (known ? sizeof(first) - 1 : 0);
    bool several = known && strncmp(said, second, sizeof(second) - 1) == 0;
    said += several ? sizeof(second) - 1 : 0;
    if (known && status == 0 && !several && vaults_beyond_first() > 0) {
        snprintf(why, sizeof(why),
                 "%s knows one vault only, and %u connections are in others: they would be lost; "
                 "wait until they have ended, or restart the server\n",
                 binary, vaults_beyond_first());
        conclude(why);
        return;
    }
    if (known && status == 0) {
        become();
        return;
    }
    describe_status(status, how, sizeof(how));
    if (status == 0) /* whatever it did: a rehearsal says so */
        snprintf(why, sizeof(why),
                 "%s is no Pillion, or one that does not know how to take over from version %s: it "
                 "was to rehearse that, and just ended\n%s",
                 binary, PILLION_VERSION, said);
    else
        snprintf(why, sizeof(why), "the new binary does not take over (%s)\n%s", how, said);
    conclude(why);
}

static void rehearsal_ended(struct child *child, int status)
{
    child->pid = 0;
    timer_cancel(&master.loop, &rehearsal.limit);
    while (rehearsal.output.index != 0 && rehearsal.size < sizeof(rehearsal.text) - 1) {
        size_t before = rehearsal.size;
        output_ready(&rehearsal.output, 0);
        if (rehearsal.size == before)
            break;
    }
    loop_unwatch(&master.loop, &rehearsal.output);
    close(rehearsal.output.fd);
    rehearsal.text[rehearsal.size] = '\0';
    if (master.mode == MASTER_RUNNING) /* it was abandoned otherwise */
        rehearsed(status);
    forget_binary();
}
