/* Reading files once. See file.h. */
#include "conf/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

/* What is known of a file. The list is short: each entry is a directive of the configuration. */
struct known {
    struct known *next;
    struct conf_file file; /* its data is NULL when it could not be read */
    struct error why;
};

static struct known *all;

static bool read_all(int fd, struct known *known)
{
    char *data = must_alloc(CONF_FILE_MAX + 1);
    size_t size = 0;
    ssize_t got;

    while ((got = read(fd, data + size, CONF_FILE_MAX + 1 - size)) > 0)
        size += (size_t)got;
    bool good = got == 0 && size <= CONF_FILE_MAX;
    if (good) {
        known->file.data = data = must_realloc(data, size + 1);
        known->file.size = size;
        data[size] = '\0';
        return true;
    }
    if (got < 0)
        error_errno(&known->why, "cannot read %s", known->file.path);
    else
        error_set(&known->why, "%s has more than %u bytes, which no such file has",
                  known->file.path, CONF_FILE_MAX);
    free(data);
    return false;
}

static void look(struct known *known)
{
    struct stat status;

    /* A FIFO would have the process wait for somebody who writes to it. */
    int fd = open(known->file.path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        error_errno(&known->why, "cannot read %s", known->file.path);
    else if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        error_set(&known->why, "%s is no regular file", known->file.path);
    else
        read_all(fd, known);
    if (fd >= 0)
        close(fd);
}

static struct known *find_known(const char *path)
{
    struct known *known = all;

    while (known != NULL && strcmp(known->file.path, path) != 0)
        known = known->next;
    return known;
}

static const struct known *find(const char *path)
{
    struct known *known = find_known(path);

    if (known != NULL)
        return known;
    known = must_zalloc(sizeof(*known));
    char *copy = must_alloc(strlen(path) + 1);
    known->file.path = strcpy(copy, path);
    look(known);
    known->next = all;
    return all = known;
}

void conf_file_read(const char *path)
{
    find(path);
}

/* ---- Copies ---- */

/* In front of a path and of what the file holds, which have a NUL behind them that is counted. */
struct record {
    uint64_t path_size, size;
};

struct bytes conf_files_copy(void)
{
    size_t size = 0;

    for (const struct known *k = all; k != NULL; k = k->next) {
        if (k->file.data != NULL)
            size += sizeof(struct record) + strlen(k->file.path) + 1 + k->file.size + 1;
    }
    char *copy = must_alloc(size + 1), *to = copy;
    for (const struct known *k = all; k != NULL; k = k->next) {
        if (k->file.data == NULL)
            continue;
        const struct record record = {strlen(k->file.path) + 1, k->file.size + 1};
        memcpy(to, &record, sizeof(record));
        memcpy(to += sizeof(record), k->file.path, record.path_size);
        memcpy(to += record.path_size, k->file.data, record.size);
        to += record.size;
    }
    return (struct bytes){copy, size};
}

void conf_files_take(struct bytes copy)
{
    struct record record;

    while (copy.size >= sizeof(record)) {
        memcpy(&record, copy.data, sizeof(record));
        const char *path = copy.data + sizeof(record);
        copy.size -= sizeof(record);
        if (record.path_size == 0 || record.size == 0 || record.path_size > copy.size ||
            record.size > copy.size - record.path_size || path[record.path_size - 1] != '\0')
            return;
        if (find_known(path) == NULL) {
            struct known *known = must_zalloc(sizeof(*known));
            known->file = (struct conf_file){path, path + record.path_size, record.size - 1};
            known->next = all;
            all = known;
        }
        copy.data = path + record.path_size + record.size;
        copy.size -= record.path_size + record.size;
    }
}

bool conf_file_get(const char *path, struct conf_file *file, struct error *error)
{
    const struct known *known = find(path);

    *file = known->file;
    return known->file.data != NULL || error_set(error, "%s", known->why.text);
}
