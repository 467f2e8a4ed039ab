/* Closing, watched over. See close_guard.h. */
#include "module/close_guard.h"

#include <fcntl.h>
#include <pillion/module.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "rpc/callback.h"
#include "rpc/note.h"
#include "rpc/offload.h"
#include "rpc/request.h"

/* The other functions are declared by <unistd.h>. */
PILLION_EXPORT int close_range(unsigned first, unsigned last, int flags);

static const struct loop *guarded;

void guard_start(const struct loop *loop)
{
    guarded = loop;
}

static void check(const char *function, int fd)
{
    const struct pillion_request *req = request_current();
    const pillion_instance *module = note_instance();

    if (guarded == NULL || module == NULL || !loop_owns(guarded, fd))
        return;
    log_error(
        "module %s: \"%s\" called %s on descriptor %d, which is the server's; the worker ends "
        "before clients are hurt",
        module->name, req != NULL ? req->method->own_name : "a callback", function, fd);
    abort();
}

static void check_range(const char *function, unsigned first, unsigned last)
{
    if (guarded == NULL || note_instance() == NULL)
        return;
    for (size_t fd = first; fd <= last && fd < guarded->owned_words * 64; fd++)
        check(function, (int)fd);
}

PILLION_EXPORT int close(int fd)
{
    check("close", fd);
    if (offload_is_loop())
        callbacks_closing(fd);
    return (int)syscall(SYS_close, fd);
}

PILLION_EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    check_range("close_range", first, last);
    return (int)syscall(SYS_close_range, first, last, flags);
}

PILLION_EXPORT void closefrom(int first)
{
    close_range(first < 0 ? 0 : (unsigned)first, ~0u, 0);
}

PILLION_EXPORT int dup3(int from, int to, int flags)
{
    check("dup3", to);
    return (int)syscall(SYS_dup3, from, to, flags);
}

PILLION_EXPORT int dup2(int from, int to)
{
    check("dup2", to);
    /* dup3(2) refuses what dup2(2) allows: the same descriptor twice. */
    if (from == to)
        return fcntl(from, F_GETFD) < 0 ? -1 : to;
    return (int)syscall(SYS_dup3, from, to, 0);
}
