/* Replacing the running binary, master included: SIGUSR2 and `pillion -s upgrade`. See master.h.
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
 * fails before exec leaves the old binary serving. */
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
#include "net/arena_layout.h"
#include "process/child.h"
#include "process/master.h"
#include "process/pid_file.h"
#include "process/upgrade.h"
#include "process/zones.h"

#define STATE_VERSION   1
#define REHEARSE_PREFIX "rehearse:"
#define REHEARSE_LIMIT  (60 * NS_PER_S)
#define REHEARSE_TEXT   4096u

static char binary[PATH_MAX]; /* where the binary is, since before it may be replaced */

/* The rehearsal under way. */
static struct {
    pid_t pid; /* 0: none */
    struct watch output;
    struct timer limit;
    char text[REHEARSE_TEXT];
    size_t size;
} rehearsal;

void upgrade_init(void)
{
    ssize_t size = readlink("/proc/self/exe", binary, sizeof(binary) - 1);
    binary[size < 0 ? 0 : size] = '\0';
}

bool upgrade_is_resumed(int *state, bool *rehearsing)
{
    const char *value = getenv(UPGRADE_VARIABLE);

    if (value == NULL)
        return false;
    *rehearsing = strncmp(value, REHEARSE_PREFIX, strlen(REHEARSE_PREFIX)) == 0;
    *state = atoi(*rehearsing ? value + strlen(REHEARSE_PREFIX) : value);
    unsetenv(UPGRADE_VARIABLE);
    return true;
}

/* ---- Writing the state ---- */

static void add(cJSON *object, const char *name, double number)
{
    cJSON_AddNumberToObject(object, name, number);
}

/* As text: an inode may be more than a number of JSON holds. */
static void add_file(cJSON *object, const char *name, struct place_id file)
{
    char text[64];

    snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)file.device, (uintmax_t)file.inode);
    cJSON_AddStringToObject(object, name, text);
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
        add_file(item, "file", l->file);
        cJSON *fds = cJSON_AddArrayToObject(item, "fds");
        for (uint32_t i = 0; i < l->count; i++)
            cJSON_AddItemToArray(fds, cJSON_CreateNumber(l->fds[i]));
        cJSON_AddItemToArray(list, item);
    }
    add(state, "last_listener", master.listeners.last_id);
}

static void write_workers(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "workers");

    for (struct worker *w = master.workers; w != NULL; w = w->next) {
        if (!w->served)
            continue;
        cJSON *item = cJSON_CreateObject();
        add(item, "pid", w->pid);
        add(item, "slot", w->slot);
        add(item, "slots", w->slots);
        add(item, "records", w->generation->geometry.records);
        add(item, "blocks", w->generation->geometry.blocks);
        add(item, "serial", w->serial);
        add(item, "channel", w->channel.fd);
        add(item, "arena", w->arena);
        add(item, "row", (double)(w->row - master.board->rows));
        cJSON_AddBoolToObject(item, "leaving", w->state == WORKER_LEAVING);
        cJSON_AddBoolToObject(item, "released", w->released);
        cJSON_AddBoolToObject(item, "staying", w->staying);
        cJSON_AddBoolToObject(item, "died", w->died);
        cJSON_AddBoolToObject(item, "hung", w->hung);
        cJSON_AddBoolToObject(item, "adopting", w->adopting);
        add(item, "adopting_serial", (double)w->adopting_serial);
        cJSON_AddItemToArray(list, item);
    }
}

static void write_sources(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "sources");

    for (struct source *s = master.sources; s != NULL; s = s->next) {
        cJSON *item = cJSON_CreateObject();
        add(item, "serial", s->serial);
        add(item, "arena", s->arena);
        add(item, "slot", s->slot);
        add(item, "slots", s->slots);
        cJSON_AddBoolToObject(item, "hung", s->hung);
        cJSON_AddBoolToObject(item, "unmarked", !s->blame.marked);
        add(item, "connection", (double)s->blame.connection);
        add(item, "place", (double)s->blame.place);
        cJSON_AddBoolToObject(item, "partial", s->partial);
        cJSON_AddItemToArray(list, item);
    }
}

static void write_retired(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "retired");

    for (size_t i = 0; i < master.retired_count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(master.retired[i]));
}

/* Those who wait for this upgrade: the new master answers them. To the others, who have not said
 * what they want yet or wait for files to be opened anew, it listens as if they had just come. */
static void write_clients(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "clients");
    cJSON *others = cJSON_AddArrayToObject(state, "other_clients");
    char said[sizeof(((struct control_client *)NULL)->line) + 1];

    for (struct control_client *c = master.clients; c != NULL; c = c->next) {
        if (c->order == ORDER_UPGRADE) {
            cJSON_AddItemToArray(list, cJSON_CreateNumber(c->watch.fd));
            continue;
        }
        cJSON *item = cJSON_CreateObject();
        add(item, "fd", c->watch.fd);
        snprintf(said, sizeof(said), "%s%s", c->line, c->order == ORDER_NONE ? "" : "\n");
        cJSON_AddStringToObject(item, "said", said);
        cJSON_AddItemToArray(others, item);
    }
}

/* The state as a memory file, or -1 with the reason. */
static int state_write(struct error *error)
{
    cJSON *state = cJSON_CreateObject();

    add(state, "version", STATE_VERSION);
    add(state, "arena_layout", ARENA_LAYOUT);
    cJSON_AddStringToObject(state, "binary", PILLION_VERSION);
    add(state, "generation", (double)master.last_number);
    add(state, "slots", master.current->slots);
    add(state, "last_serial", master.last_serial);
    add(state, "board", board_descriptor());
    add(state, "vault", master.vault_pid == 0 ? -1 : master.vault.fd);
    add(state, "vault_pid", master.vault_pid);
    add(state, "control", master.control.fd);
    cJSON_AddStringToObject(state, "control_path", master.control_path);
    add_file(state, "control_file", master.control_file);
    add(state, "pid_file", pid_file_descriptor());
    if (pid_file_path() != NULL)
        cJSON_AddStringToObject(state, "pid_path", pid_file_path());
    zones_write(state);
    write_listeners(state);
    write_workers(state);
    write_sources(state);
    write_retired(state);
    write_clients(state);
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

static void keep_open(int fd, bool keep)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

/* The descriptors that the state names stay open over exec. */
static void keep_all(bool keep)
{
    for (struct listener *l = master.listeners.first; l != NULL; l = l->next) {
        for (uint32_t i = 0; i < l->count; i++)
            keep_open(l->fds[i], keep);
    }
    for (struct worker *w = master.workers; w != NULL; w = w->next) {
        if (!w->served)
            continue;
        keep_open(w->channel.fd, keep);
        keep_open(w->arena, keep);
    }
    for (struct source *s = master.sources; s != NULL; s = s->next)
        keep_open(s->arena, keep);
    for (struct control_client *c = master.clients; c != NULL; c = c->next)
        keep_open(c->watch.fd, keep);
    zones_keep_open(keep);
    keep_open(board_descriptor(), keep);
    keep_open(master.vault_pid == 0 ? -1 : master.vault.fd, keep);
    keep_open(master.control.fd, keep);
    keep_open(pid_file_descriptor(), keep);
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

/* Replacements that are still loading have nothing to lose; the new master starts its own. */
static void drop_unserved(void)
{
    for (struct worker *w = master.workers; w != NULL; w = w->next) {
        if (w->served)
            continue;
        worker_kill(w);
        if (w->row != NULL)
            board_retire_row(master.board, w->row);
    }
}

/* Does not return, unless it fails. */
static void become(void)
{
    struct error error;
    int state;

    if (master.phase != RELOAD_IDLE) {
        master.upgrade_again = true;
        return;
    }
    state = state_write(&error);
    if (state < 0) {
        conclude(error.text);
        return;
    }
    log_notice("becoming %s", binary);
    keep_all(true);
    name_state("", state);
    drop_unserved();
    execv(binary, master.options->argv);
    error_errno(&error, "cannot execute %s", binary);
    unsetenv(UPGRADE_VARIABLE);
    keep_all(false);
    close(state);
    conclude(error.text);
}

/* ---- The rehearsal ---- */

static void rehearsal_late(struct timer *timer)
{
    (void)timer;
    kill(rehearsal.pid, SIGKILL);
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
    child_begin((const int[]){output, state}, 2);
    dup2(output, STDERR_FILENO);
    dup2(output, STDOUT_FILENO);
    name_state(REHEARSE_PREFIX, state);
    execv(binary, master.options->argv);
    dprintf(STDERR_FILENO, "cannot execute %s: %s\n", binary, strerror(errno));
    _exit(1);
}

void upgrade_begin(void)
{
    struct error error;
    int output[2];

    if (rehearsal.pid != 0)
        return; /* whoever has waited for this is answered with the one under way */
    int state = state_write(&error);
    if (state < 0) {
        conclude(error.text);
        return;
    }
    if (pipe2(output, O_CLOEXEC | O_NONBLOCK) < 0) {
        conclude("cannot create a pipe");
        close(state);
        return;
    }
    rehearsal.size = 0;
    rehearsal.pid = fork();
    if (rehearsal.pid == 0)
        rehearse(output[1], state);
    close(output[1]);
    close(state);
    if (rehearsal.pid < 0) {
        rehearsal.pid = 0;
        close(output[0]);
        conclude("cannot start a process for the rehearsal");
        return;
    }
    loop_watch(&master.loop, &rehearsal.output, output[0], EPOLLIN, output_ready);
    timer_set(&master.loop, &rehearsal.limit, REHEARSE_LIMIT, rehearsal_late);
}

bool upgrade_rehearses(void)
{
    return rehearsal.pid != 0;
}

void upgrade_abandon(const char *why)
{
    master.upgrade_again = false;
    if (rehearsal.pid != 0)
        kill(rehearsal.pid, SIGKILL);
    control_answer(ORDER_UPGRADE, true, false, why);
}

bool upgrade_reaped(pid_t pid, int status)
{
    char why[REHEARSE_TEXT + PATH_MAX + 256], how[64];

    if (rehearsal.pid == 0 || pid != rehearsal.pid)
        return false;
    rehearsal.pid = 0;
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
    if (master.mode != MASTER_RUNNING)
        return true; /* abandoned */
    static const char first[] = UPGRADE_REHEARSES "\n";
    bool rehearsed = strncmp(rehearsal.text, first, sizeof(first) - 1) == 0;
    const char *said = rehearsal.text + (rehearsed ? sizeof(first) - 1 : 0);
    if (rehearsed && status == 0) {
        become();
        return true;
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
    return true;
}

/* ---- Reading the state ---- */

/* The whole number `name`; `missing` when there is none. */
static double number(const cJSON *object, const char *name, double missing)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : missing;
}

static bool truth(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

/* What `name` says, or `missing`. */
static const char *words(const cJSON *object, const char *name, const char *missing)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text == NULL ? missing : text;
}

/* Binaries before this one did not say: then it is what is at the path. */
static struct place_id read_file(const cJSON *object, const char *name, const char *path)
{
    uintmax_t device, inode;

    if (sscanf(words(object, name, ""), "%ju:%ju", &device, &inode) != 2)
        return place_id(path);
    return (struct place_id){.device = (dev_t)device, .inode = (ino_t)inode};
}

static cJSON *state_read(int fd, struct error *error)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = size <= 0 ? NULL : must_zalloc((size_t)size + 1);
    cJSON *state = NULL;

    if (text != NULL && pread(fd, text, (size_t)size, 0) == (ssize_t)size)
        state = cJSON_Parse(text);
    free(text);
    uint32_t layout = state == NULL ? 0 : (uint32_t)number(state, "arena_layout", 0);
    if (state != NULL && number(state, "version", 0) == STATE_VERSION &&
        arena_layout_record_size(layout) != 0)
        return state;
    if (state != NULL && arena_layout_record_size(layout) == 0)
        error_set(error,
                  "the running server's arenas have layout %u, which this binary does not know; "
                  "is it an older one?",
                  layout);
    else
        error_set(error,
                  "the running server's state is of version %d, this binary reads version %d",
                  (int)number(state, "version", 0), STATE_VERSION);
    cJSON_Delete(state);
    return NULL;
}

bool upgrade_check(int fd, struct error *error)
{
    cJSON *state = state_read(fd, error);

    if (state == NULL)
        return false;
    cJSON_Delete(state);
    return true;
}

static void read_listener(const cJSON *item)
{
    const cJSON *address = cJSON_GetObjectItemCaseSensitive(item, "address");
    const cJSON *fds = cJSON_GetObjectItemCaseSensitive(item, "fds");
    struct listener *listener = must_zalloc(sizeof(*listener));
    struct error error;

    if (!cJSON_IsString(address) ||
        !address_parse(address->valuestring, NULL, false, &listener->address, &error)) {
        free(listener);
        return;
    }
    listener->id = (uint32_t)number(item, "id", 0);
    listener->backlog = (int)number(item, "backlog", 0);
    listener->reuseport = truth(item, "reuseport");
    listener->reuseport_set = listener->reuseport || truth(item, "reuseport_set");
    if (listener->address.socket.ss_family == AF_UNIX)
        listener->file = read_file(item, "file", address->valuestring + strlen("unix:"));
    listener->fds = must_zalloc((size_t)cJSON_GetArraySize(fds) * sizeof(int));
    const cJSON *fd;
    cJSON_ArrayForEach(fd, fds) listener->fds[listener->count++] = fd->valueint;
    listener->listening = listener->count;
    listener->next = master.listeners.first;
    master.listeners.first = listener;
}

/* Stands for the old binary's generation until this one's first serves. */
static struct generation *resumed_generation(const cJSON *state, const struct settings *settings)
{
    struct generation *generation = must_zalloc(sizeof(*generation));

    generation->resumed = true;
    generation->number = (uint64_t)number(state, "generation", 0);
    generation->slots = (uint32_t)number(state, "slots", 1);
    generation->users = 1;
    generation->settings = (struct settings *)(uintptr_t)settings;
    for (struct listener *l = master.listeners.first; l != NULL; l = l->next) {
        generation->listeners =
            must_realloc(generation->listeners,
                         (generation->listener_count + 1) * sizeof(*generation->listeners));
        generation->listeners[generation->listener_count++] =
            (struct generation_listener){.listener = l};
        l->users++;
    }
    return generation;
}

/* `board_anew`: the board is a new one, and the worker writes to the former one. It keeps others
 * from its row. */
static void read_worker(const cJSON *item, bool board_anew)
{
    struct generation *generation = master.current;
    uint32_t row = (uint32_t)number(item, "row", BOARD_ROWS_MAX);
    struct worker *worker = must_zalloc(sizeof(*worker));

    generation->users++;
    generation->geometry.records = (uint32_t)number(item, "records", 0);
    generation->geometry.blocks = (uint32_t)number(item, "blocks", 0);
    worker->generation = generation;
    worker->pid = (pid_t)number(item, "pid", 0);
    worker->slot = (uint32_t)number(item, "slot", 0);
    worker->slots = (uint32_t)number(item, "slots", 1);
    worker->serial = (uint32_t)number(item, "serial", 0);
    worker->arena = (int)number(item, "arena", -1);
    worker->served = true;
    worker->state = truth(item, "leaving") ? WORKER_LEAVING : WORKER_SERVING;
    worker->released = truth(item, "released");
    worker->staying = truth(item, "staying");
    worker->died = truth(item, "died");
    worker->hung = truth(item, "hung");
    worker->adopting = truth(item, "adopting");
    worker->adopting_serial = (uint64_t)number(item, "adopting_serial", 0);
    worker->started_ns = clock_ns();
    if (board_anew)
        worker->row = board_take_row(master.board, worker->slot, master.last_number);
    else
        worker->row = row < BOARD_ROWS_MAX ? &master.board->rows[row] : NULL;
    keep_open(worker->arena, false);
    worker_resume(worker, (int)number(item, "channel", -1));
}

static void read_source(const cJSON *item)
{
    struct source *source = must_zalloc(sizeof(*source)), **at = &master.sources;

    source->serial = (uint32_t)number(item, "serial", 0);
    source->arena = (int)number(item, "arena", -1);
    source->slot = (uint32_t)number(item, "slot", 0);
    source->slots = (uint32_t)number(item, "slots", 1);
    source->hung = truth(item, "hung");
    source->blame = (struct blame){.method = BOARD_NO_METHOD,
                                   .marked = !truth(item, "unmarked"),
                                   .connection = (uint64_t)number(item, "connection", 0),
                                   .place = (uint64_t)number(item, "place", 0)};
    source->partial = truth(item, "partial");
    source->since_ns = clock_ns();
    keep_open(source->arena, false);
    while (*at != NULL) /* newest first, as they were written */
        at = &(*at)->next;
    *at = source;
}

/* The same process has the pid file as before: whatever is wrong with it ends nothing. */
static void resume_pid_file(const cJSON *state, const struct settings *settings)
{
    int fd = (int)number(state, "pid_file", -1);
    const char *path = words(state, "pid_path", settings->pid);
    struct error error;

    if (fd >= 0)
        pid_file_resume(fd, path);
    else if (!pid_file_make(path, &error))
        log_error("%s", error.text);
}

bool upgrade_resume(int fd, const struct settings *settings, struct error *error)
{
    cJSON *state = state_read(fd, error);
    const cJSON *item;

    if (state == NULL)
        return false;
    bool board_anew;
    master.board = board_resume((int)number(state, "board", -1), &board_anew, error);
    if (master.board == NULL) {
        cJSON_Delete(state);
        return false;
    }
    master.last_number = (uint64_t)number(state, "generation", 0);
    master.last_serial = (uint32_t)number(state, "last_serial", 0);
    master.listeners.last_id = (uint32_t)number(state, "last_listener", 0);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "listeners"))
        read_listener(item);
    master.current = resumed_generation(state, settings);
    zones_read(state);
    vault_resume((pid_t)number(state, "vault_pid", 0), (int)number(state, "vault", -1));
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "workers"))
    {
        read_worker(item, board_anew);
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "sources")) read_source(item);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "retired"))
    {
        handover_retire((uint32_t)item->valuedouble);
    }
    const char *control = words(state, "control_path", settings->control);
    control_resume((int)number(state, "control", -1), control,
                   read_file(state, "control_file", control));
    resume_pid_file(state, settings);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "clients"))
        control_resume_client(item->valueint, NULL);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "other_clients"))
    {
        const char *said = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "said"));
        control_resume_client((int)number(item, "fd", -1), said == NULL ? "" : said);
    }
    keep_all(false);
    close(fd);
    cJSON_Delete(state);
    handover_replan();
    log_notice("pillion %s has taken over as the master (pid %d)", PILLION_VERSION, (int)getpid());
    return true;
}
