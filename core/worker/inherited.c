/* What a worker has of the master's descriptors. See inherited.h. */
#include "worker/inherited.h"

#include <stdlib.h>

#include "base/memory.h"
#include "module/fd_guard.h"
#include "net/handoff.h"
#include "rpc/forked.h"
#include "rpc/note.h"

/* Room for the descriptors of list_serving, and for `more`. */
static int *make_list(const struct worker_start *start, size_t more)
{
    const struct generation *generation = start->generation;
    size_t count = 1 + VAULT_PROCESSES_MAX + more;

    for (size_t i = 0; i < generation->listener_count; i++)
        count += generation->listeners[i].ssl ? 1 : generation->listeners[i].count;
    return must_alloc(count * sizeof(int));
}

/* Lists the descriptors that a worker serves with: its channels, -1 where there is none, and the
 * sockets that clients come from, those of other slots among them. Returns how many they are. */
static size_t list_serving(const struct worker_start *start, int *list)
{
    const struct generation *generation = start->generation;
    size_t count = 0;

    list[count++] = start->channel;
    for (uint32_t i = 0; i < VAULT_PROCESSES_MAX; i++)
        list[count++] = start->vaults[i];
    for (size_t i = 0; i < generation->listener_count; i++) {
        const struct generation_listener *heard = &generation->listeners[i];
        if (heard->ssl)
            list[count++] = heard->listener->handoff[HANDOFF_OUT];
        for (uint32_t n = 0; !heard->ssl && n < heard->count; n++)
            list[count++] = heard->listener->fds[n];
    }
    return count;
}

void inherited_keep(struct started *started, struct loop *loop)
{
    const struct worker_start *start = started->start;
    const struct generation *generation = start->generation;
    int *list = make_list(start, 1 + generation->module_file_count);
    size_t count = list_serving(start, list);

    list[count++] = start->arena;
    for (size_t i = 0; i < generation->module_file_count; i++)
        list[count++] = generation->module_files[i].fd;
    start_leave_master(started, list, count);
    forked_begin(loop, list, count, note_whose);
    free(list);
}

void inherited_guard(const struct worker_start *start, struct loop *loop)
{
    int *list = make_list(start, 0);
    size_t count = list_serving(start, list);

    for (size_t i = 0; i < count; i++) {
        if (list[i] >= 0)
            loop_own(loop, list[i]);
    }
    free(list);
    fd_guard_start(loop);
}
