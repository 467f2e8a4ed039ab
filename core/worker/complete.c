/* Whether a gateway has the methods that it is to serve. See complete.h. */
#include "worker/complete.h"

#include "base/clock.h"
#include "process/gateway.h"

#define LOOK_NS (50 * NS_PER_MS)
/* Another generation has the methods before that, unless its reload fails, which is in the log. */
#define PATIENCE_NS (5 * NS_PER_S)

static struct {
    struct loop *loop;
    struct dispatcher *dispatcher;
    const struct worker_start *start;
    struct timer timer;
    uint64_t known_ns; /* since when this worker knows all services; 0: it does not */
} complete;

/* Whether a server that has found no method yet has waited long enough for one. A reload, and a
 * worker in the place of another, begin no new wait. */
static bool is_none_believed(void)
{
    uint64_t server_ns = complete.start->services_known_ns;
    uint64_t since_ns = server_ns != 0 ? server_ns : complete.known_ns;

    return clock_ns() - since_ns >=
           complete.start->generation->settings->proxy_all_keep_ms * NS_PER_MS;
}

static bool is_complete(void)
{
    const struct generation *generation = complete.start->generation;
    struct text now = {0};
    bool known = gateway_look(generation->settings, complete.start->directory, &now);
    bool all = known && gateway_only_lacks(&generation->found, &now);
    bool none = all && generation->found.size == 0;

    text_free(&now);
    if (!known)
        complete.known_ns = 0;
    else if (complete.known_ns == 0)
        complete.known_ns = clock_ns();
    if (none)
        return is_none_believed();
    return all || (known && clock_ns() - complete.known_ns > PATIENCE_NS);
}

static void look(struct timer *timer)
{
    complete.dispatcher->incomplete = !is_complete();
    if (complete.dispatcher->incomplete)
        timer_set(complete.loop, timer, LOOK_NS, look);
}

void complete_begin(struct loop *loop, struct dispatcher *dispatcher,
                    const struct worker_start *start)
{
    complete.loop = loop;
    complete.dispatcher = dispatcher;
    complete.start = start;
    if (start->directory != NULL && gateway_wanted(start->generation->settings))
        look(&complete.timer);
}
