/* See calls.h. */
#include "calls.h"

#include <string.h>

#define FIRST_ROOM 16u
#define INDEX_BITS 20u /* bits of an id for the index: `max_pending` is less than that */

struct calls calls_none(size_t *pending)
{
    return (struct calls){.free = NONE, .first = NONE, .last = NONE, .pending = pending};
}

bool calls_room(struct calls *calls, pillion_instance *self)
{
    if (calls->free != NONE || calls->used < calls->room)
        return true;
    uint32_t room = calls->room == 0 ? FIRST_ROOM : calls->room * 2;
    struct call *items = pillion_realloc(self, calls->items, room * sizeof(*items));
    if (items == NULL)
        return false;
    calls->items = items;
    calls->room = room;
    return true;
}

struct call *calls_take(struct calls *calls, struct link_share *share)
{
    uint32_t index = calls->free;

    if (index != NONE) {
        calls->free = calls->items[index].after;
    } else {
        index = calls->used++;
        calls->items[index].serial = 0;
    }
    struct call *call = &calls->items[index];
    *call = (struct call){.share = share,
                          .serial = call->serial + 1,
                          .used = true,
                          .before = calls->last,
                          .after = NONE};
    if (calls->last != NONE)
        calls->items[calls->last].after = index;
    else
        calls->first = index;
    calls->last = index;
    call->number = calls->taken++;
    calls->count++;
    ++*calls->pending;
    share->pending++;
    ++*share->all;
    return call;
}

void calls_give(struct calls *calls, uint32_t index)
{
    struct call *call = &calls->items[index];

    if (call->before != NONE)
        calls->items[call->before].after = call->after;
    else
        calls->first = call->after;
    if (call->after != NONE)
        calls->items[call->after].before = call->before;
    else
        calls->last = call->before;
    call->used = false;
    call->after = calls->free;
    calls->free = index;
    calls->count--;
    --*calls->pending;
    call->share->pending--;
    --*call->share->all;
}

uint64_t call_id(const struct calls *calls, const struct call *call)
{
    return (uint64_t)call->serial << INDEX_BITS | (uint64_t)(call - calls->items);
}

/* True for a reply with which a server that gives ids back would have given the id: any reply but
 * an error, since the server may have been unable to read that request. */
static bool shows_id(pillion_bytes out)
{
    return out.size >= 2 && out.data[0] == '"' && memchr(out.data, '\\', out.size) == NULL &&
           (out.size != 7 || memcmp(out.data, "\"error\"", 7) != 0);
}

/* The call that a reply without an id belongs to, or NONE. A server that gives no ids back replies
 * in order. While it is unknown whether the server does, an error may belong to any call, unless
 * only one waits. */
static uint32_t call_without_id(struct calls *calls, pillion_bytes out)
{
    if (calls->ids == IDS_UNKNOWN && shows_id(out))
        calls->ids = IDS_NONE;
    return calls->ids == IDS_NONE || (calls->ids == IDS_UNKNOWN && calls->count == 1) ? calls->first
                                                                                      : NONE;
}

uint32_t calls_find(struct calls *calls, const struct reply *reply)
{
    pillion_bytes id = reply->id;
    uint64_t number = 0;

    if (id.data == NULL)
        return call_without_id(calls, reply->out);
    for (size_t i = 0; i < id.size; i++) {
        if (id.data[i] < '0' || id.data[i] > '9' || i == 16)
            return NONE;
        number = number * 10 + (uint64_t)(id.data[i] - '0');
    }
    uint64_t index = number & ((1u << INDEX_BITS) - 1);
    if (calls->ids == IDS_NONE || index >= calls->used || !calls->items[index].used ||
        calls->items[index].serial != number >> INDEX_BITS)
        return NONE;
    calls->ids = IDS_GIVEN;
    return (uint32_t)index;
}
