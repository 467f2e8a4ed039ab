/* Taking a server over from the binary before this one: the other half of upgrade.c, which writes
 * what is read here. See upgrade.h.
 *
 * What the state does not say, because an older binary wrote it, has a value that is right for that
 * one. Descriptors that it names become close-on-exec again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/version.h"
#include "master/control.h"
#include "master/generations.h"
#include "master/handover.h"
#include "master/heartbeat.h"
#include "master/inherit.h"
#include "master/keeper.h"
#include "master/master.h"
#include "master/pid_file.h"
#include "master/state.h"
#include "master/upgrade.h"
#include "master/watchdog.h"
#include "master/workers.h"
#include "net/arena_layout.h"
#include "process/zones.h"

/* The state's file that this process was started with, or -1. */
static int state_given(bool *rehearsing)
{
    const char *value = getenv(UPGRADE_VARIABLE);

    if (value == NULL)
        return -1;
    *rehearsing = strncmp(value, UPGRADE_REHEARSE, strlen(UPGRADE_REHEARSE)) == 0;
    return atoi(*rehearsing ? value + strlen(UPGRADE_REHEARSE) : value);
}

bool upgrade_is_resumed(int *state, bool *rehearsing)
{
    *state = state_given(rehearsing);
    unsetenv(UPGRADE_VARIABLE);
    return *state >= 0;
}

cJSON *upgrade_state(int fd, struct error *error)
{
    bool rehearsing;

    if (fd < 0 && (fd = state_given(&rehearsing)) < 0) {
        error_set(error, "no server is to be taken over");
        return NULL;
    }
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = size <= 0 ? NULL : must_zalloc((size_t)size + 1);
    cJSON *state = NULL;

    if (text != NULL && pread(fd, text, (size_t)size, 0) == (ssize_t)size)
        state = cJSON_Parse(text);
    free(text);
    uint32_t layout = state == NULL ? 0 : (uint32_t)state_number(state, "arena_layout", 0);
    if (state != NULL && state_number(state, "version", 0) == UPGRADE_STATE_VERSION &&
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
                  (int)state_number(state, "version", 0), UPGRADE_STATE_VERSION);
    cJSON_Delete(state);
    return NULL;
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
    listener->id = (uint32_t)state_number(item, "id", 0);
    listener->backlog = (int)state_number(item, "backlog", 0);
    listener->reuseport = state_truth(item, "reuseport");
    listener->reuseport_set = listener->reuseport || state_truth(item, "reuseport_set");
    if (listener->address.socket.ss_family == AF_UNIX)
        listener->file = state_file(item, "file", address->valuestring + strlen("unix:"));
    listener->fds = must_zalloc((size_t)cJSON_GetArraySize(fds) * sizeof(int));
    const cJSON *fd;
    cJSON_ArrayForEach(fd, fds) listener->fds[listener->count++] = fd->valueint;
    listener->listening = listener->count;
    listener->next = master.listeners.first;
    master.listeners.first = listener;
}

/* The old binary's generation, until this one's first serves. */
static struct generation *resumed_generation(const cJSON *state, const struct settings *settings)
{
    struct generation *generation = must_zalloc(sizeof(*generation));
    struct conf_errors errors = {0};

    generation->former = true;
    generation->log = -1;
    generation->number =
        (uint64_t)state_number(state, "current", state_number(state, "generation", 0));
    generation->slots = (uint32_t)state_number(state, "slots", 1);
    generation->users = 1;
    bool whole = inherit_generation(state, settings, master.options->prefix, &master.listeners,
                                    generation) &&
                 generation_register(generation, master.board, &errors);
    if (generation->tree == NULL)
        generation->settings = (struct settings *)(uintptr_t)settings;
    generation_measure(generation);
    if (whole)
        return generation;
    log_error_lines(text_string(&errors.text));
    conf_errors_free(&errors);
    for (size_t i = 0; i < generation->listener_count; i++)
        generation->listeners[i].listener->users--;
    generation->listener_count = 0;
    generation->resumed = true;
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

/* The same process has the pid file as before: whatever is wrong with it ends nothing. */
static void resume_pid_file(const cJSON *state, const struct settings *settings)
{
    int fd = (int)state_number(state, "pid_file", -1);
    const char *path = state_words(state, "pid_path", settings->pid);
    struct error error;

    if (fd >= 0)
        pid_file_resume(fd, path);
    else if (!pid_file_make(path, &error))
        log_error("%s", error.text);
}

bool upgrade_resume(int fd, const struct settings *settings, struct error *error)
{
    cJSON *state = upgrade_state(fd, error);
    const cJSON *item;

    if (state == NULL)
        return false;
    bool board_anew;
    master.board = board_resume((int)state_number(state, "board", -1), &board_anew, error);
    if (master.board == NULL) {
        cJSON_Delete(state);
        return false;
    }
    workers_resume_serial((uint32_t)state_number(state, "last_serial", 0));
    master.listeners.last_id = (uint32_t)state_number(state, "last_listener", 0);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "listeners"))
        read_listener(item);
    generation_resume(resumed_generation(state, settings),
                      (uint64_t)state_number(state, "generation", 0));
    zones_read(state);
    vaults_read(state);
    workers_read(state, board_anew);
    handover_read(state);
    control_read(state, settings->control);
    resume_pid_file(state, settings);
    const char *path = state_words(state, "binary_path", NULL);
    if (path != NULL) /* it may be another one's place by now, or nobody's */
        upgrade_set_binary(path);
    int file = (int)state_number(state, "binary_file", -1);
    if (file > STDERR_FILENO)
        close(file);
    upgrade_keep_open(false);
    close(fd);
    cJSON_Delete(state);
    handover_replan();
    watchdog_start();
    heartbeat_start();
    log_notice("pillion %s has taken over as the master (pid %d)", PILLION_VERSION, (int)getpid());
    return true;
}
