/* The state document of an upgrade. See state.h. */
#include "master/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/version.h"
#include "net/arena_layout.h"

#define STATE_VERSION 1
#define VARIABLE      "PILLION_UPGRADE"
#define REHEARSE      "rehearse:" /* before the number, for a rehearsal only */

/* ---- Members ---- */

double state_number(const cJSON *object, const char *name, double missing)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : missing;
}

const char *state_words(const cJSON *object, const char *name, const char *missing)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text == NULL ? missing : text;
}

bool state_truth(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

void state_add_file(cJSON *object, const char *name, struct file_id file)
{
    char text[64];

    snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)file.device, (uintmax_t)file.inode);
    cJSON_AddStringToObject(object, name, text);
}

struct file_id state_file(const cJSON *object, const char *name, const char *path)
{
    uintmax_t device, inode;

    if (sscanf(state_words(object, name, ""), "%ju:%ju", &device, &inode) != 2)
        return file_id_of(path);
    return (struct file_id){.device = (dev_t)device, .inode = (ino_t)inode};
}

void state_default(cJSON *object, const char *name, const char *words)
{
    if (state_words(object, name, NULL) == NULL)
        cJSON_AddStringToObject(object, name, words);
}

static int keep_error; /* errno for the first descriptor that could not be kept open */

void state_keep_open(int fd, bool keep)
{
    if (fd >= 0 && fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC) < 0 && keep && keep_error == 0)
        keep_error = errno;
}

/* ---- The document ---- */

cJSON *state_new(void)
{
    cJSON *state = cJSON_CreateObject();

    cJSON_AddNumberToObject(state, "version", STATE_VERSION);
    cJSON_AddNumberToObject(state, "arena_layout", ARENA_LAYOUT);
    cJSON_AddStringToObject(state, "binary", PILLION_VERSION);
    return state;
}

int state_write(const cJSON *state, struct error *error)
{
    char *text = cJSON_PrintUnformatted(state);
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

bool state_give(int fd, bool rehearsing, struct error *error)
{
    char value[64];

    errno = keep_error;
    keep_error = 0;
    if (errno != 0)
        return error_errno(error, "cannot keep every descriptor open for the new binary");
    snprintf(value, sizeof(value), "%s%d", rehearsing ? REHEARSE : "", fd);
    return setenv(VARIABLE, value, 1) == 0 ||
           error_errno(error, "cannot tell the new binary where the server's state is");
}

void state_take_back(void)
{
    unsetenv(VARIABLE);
}

/* The state's file that the environment names to this process, or -1. */
static int state_given(bool *rehearsing)
{
    const char *value = getenv(VARIABLE);

    if (value == NULL)
        return -1;
    *rehearsing = strncmp(value, REHEARSE, strlen(REHEARSE)) == 0;
    return atoi(*rehearsing ? value + strlen(REHEARSE) : value);
}

bool state_is_given(int *fd, bool *rehearsing)
{
    *fd = state_given(rehearsing);
    unsetenv(VARIABLE);
    return *fd >= 0;
}

cJSON *state_read(int fd, struct error *error)
{
    bool rehearsing;

    if (fd < 0 && (fd = state_given(&rehearsing)) < 0) {
        error_set(error, "no server is to be taken over");
        return NULL;
    }
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = size <= 0 ? NULL : must_zalloc((size_t)size + 1);
    ssize_t got = size < 0 ? -1 : pread(fd, text, (size_t)size, 0);
    if (got < 0) {
        error_errno(error, "cannot read the running server's state");
        free(text);
        return NULL;
    }
    cJSON *state = got != size || text == NULL ? NULL : cJSON_Parse(text);
    free(text);
    uint32_t layout = state == NULL ? 0 : (uint32_t)state_number(state, "arena_layout", 0);
    if (state != NULL && state_number(state, "version", 0) == STATE_VERSION &&
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
                  (int)state_number(state, "version", 0), STATE_VERSION);
    cJSON_Delete(state);
    return NULL;
}
