/* The master's part of the directory of services. See directory_memory.h. */
#include "master/directory_memory.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_seldom.h"
#include "master/state.h"

/* Addresses, not pages. Each half takes the methods and schemas of some hundred services, and tens
 * of thousands of instances of them: docs/scale.md. */
#define DIRECTORY_BYTES ((size_t)64 << 20)

static struct {
    int fd; /* 0: none yet */
    struct directory *mapping;
} memory;

bool directory_memory_make(struct error *error)
{
    int fd = directory_make(DIRECTORY_BYTES, error);

    if (fd < 0)
        return false;
    memory.fd = fd;
    memory.mapping = directory_map(fd, false, error);
    return memory.mapping != NULL;
}

const struct directory *directory_memory(void)
{
    struct error error;

    if (memory.mapping != NULL)
        return memory.mapping;
    if (memory.fd <= 0 && !directory_memory_make(&error))
        log_seldom(LOG_ERROR_LEVEL, &memory, "%s; workers know no services", error.text);
    else if (memory.mapping == NULL &&
             (memory.mapping = directory_map(memory.fd, false, &error)) == NULL)
        log_seldom(LOG_ERROR_LEVEL, &memory, "%s; workers know no services", error.text);
    return memory.mapping;
}

int directory_memory_descriptor(void)
{
    return memory.fd > 0 ? memory.fd : -1;
}

void directory_memory_write(cJSON *state)
{
    cJSON_AddNumberToObject(state, "directory", directory_memory_descriptor());
}

void directory_memory_read(const cJSON *state)
{
    int fd = (int)state_number(state, "directory", -1);

    if (fd > 0 && !directory_known(fd) && errno == 0) {
        log_notice("the former binary's directory of services is of another layout: it is filled "
                   "anew");
        close(fd);
        fd = -1;
    }
    memory.fd = fd > 0 ? fd : 0;
    directory_memory();
}

void directory_memory_keep_open(bool keep)
{
    state_keep_open(directory_memory_descriptor(), keep);
}
