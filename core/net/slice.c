/* Time slices. See slice.h. */
#include "net/slice.h"

#include "base/clock.h"

bool slice_lasts(struct slice *slice)
{
    slice->seen_ns = clock_ns();
    if (slice->ends_ns == 0)
        slice->ends_ns = slice->seen_ns + SLICE_NS;
    return slice->seen_ns < slice->ends_ns;
}

/* Appends the chain from `first` to `last`. */
static void append(struct slice_queue *queue, struct slice_waiter *first, struct slice_waiter *last)
{
    if (queue->first == NULL)
        queue->first = first;
    else
        queue->last->next = first;
    queue->last = last;
}

void slice_wait(struct slice *slice, struct slice_waiter *waiter, bool progressed)
{
    waiter->next = NULL;
    append(progressed ? &slice->served : &slice->starved, waiter, waiter);
}

void slice_join(struct slice *slice)
{
    append(&slice->starved, slice->served.first, slice->served.last);
    slice->served = (struct slice_queue){0};
}
