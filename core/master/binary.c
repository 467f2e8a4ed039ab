/* The place of the binary. See binary.h. */
#include "master/binary.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "master/state.h"

static char path[PATH_MAX];
static int file = -1;

void binary_init(void)
{
    ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[size < 0 ? 0 : size] = '\0';
}

const char *binary_path(void)
{
    return path;
}

bool binary_open(struct error *error)
{
    file = open(path, O_PATH | O_CLOEXEC);
    return file >= 0 || error_errno(error, "cannot open %s", path);
}

void binary_close(void)
{
    if (file >= 0)
        close(file);
    file = -1;
}

int binary_descriptor(void)
{
    return file;
}

/* ---- Upgrade ---- */

void binary_write(cJSON *state)
{
    cJSON_AddStringToObject(state, "binary_path", path);
    cJSON_AddNumberToObject(state, "binary_file", file);
}

void binary_read(const cJSON *state)
{
    int former = (int)state_number(state, "binary_file", -1);

    /* This process was executed by a descriptor, so /proc/self/exe need not name the path any
     * more. */
    snprintf(path, sizeof(path), "%s", state_words(state, "binary_path", path));
    if (former > STDERR_FILENO)
        close(former);
}

/* The binary may be a script, whose interpreter opens the file once more. */
void binary_keep_open(bool keep)
{
    state_keep_open(file, keep);
}
