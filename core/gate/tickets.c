/* Keys that rotate. See tickets.h. */
#include "gate/tickets.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/shared_lock.h"

struct shared {
    struct shared_lock lock;
    int64_t since; /* when keys[0] was made, in seconds since 1970; 0: there are no keys yet */
    uint8_t keys[2][TLS_TICKET_KEY];
};

static struct shared *shared;
static int64_t valid_seconds;

int tickets_make(struct error *error)
{
    int fd = memfd_create("pillion-tickets", MFD_CLOEXEC);

    if (fd >= 0 && ftruncate(fd, sizeof(struct shared)) == 0)
        return fd;
    error_errno(error, "cannot make the memory for the keys of session tickets");
    if (fd >= 0)
        close(fd);
    return -1;
}

bool tickets_map(int fd, uint64_t valid_s, struct error *error)
{
    void *at = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (at == MAP_FAILED)
        return error_errno(error, "cannot map the keys of session tickets");
    madvise(at, sizeof(struct shared), MADV_DONTDUMP);
    shared = at;
    valid_seconds = (int64_t)valid_s;
    return true;
}

/* Makes a new key in front. The former one stays for tickets that were made with it, unless those
 * are too old, too. */
static bool rotate(int64_t now)
{
    uint8_t key[TLS_TICKET_KEY];

    if (getrandom(key, sizeof(key), 0) != sizeof(key))
        return false;
    bool both =
        shared->since == 0 || now - shared->since >= 2 * valid_seconds || now < shared->since;
    memcpy(shared->keys[1], both ? key : shared->keys[0], sizeof(key));
    memcpy(shared->keys[0], key, sizeof(key));
    explicit_bzero(key, sizeof(key));
    shared->since = now;
    return true;
}

bool tickets_keys(void *context, uint8_t keys[2][TLS_TICKET_KEY])
{
    int64_t now = time(NULL);

    (void)context;
    shared_lock_take(&shared->lock);
    bool fresh = shared->since != 0 && now >= shared->since && now - shared->since < valid_seconds;
    bool good = fresh || rotate(now) || shared->since != 0;
    memcpy(keys, shared->keys, sizeof(shared->keys));
    shared_lock_give(&shared->lock);
    return good;
}
