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
    const struct generation *generation;
    const struct directory *directory;
    struct timer timer;
    uint64_t known_ns; /* since when all services are known; 0: they are not */
} complete;

static bool is_complete(void)
{
    struct text now = {0};
    bool known = gateway_look(complete.generation->settings, complete.directory, &now);
    bool all = known && gateway_only_lacks(&complete.generation->found, &now);

    text_free(&now);
    if (!known)
        complete.known_ns = 0;
    else if (complete.known_ns == 0)
        complete.known_ns = clock_ns();
    return all || (known && clock_ns() - complete.known_ns > PATIENCE_NS);
}

static void look(struct timer *timer)
{
    complete.dispatcher->incomplete = !is_complete();
    if (complete.dispatcher->incomplete)
        timer_set(complete.loop, timer, LOOK_NS, look);
}

void complete_begin(struct loop *loop, struct dispatcher *dispatcher,
                    const struct generation *generation, const struct directory *directory)
{
    complete.loop = loop;
    complete.dispatcher = dispatcher;
    complete.generation = generation;
    complete.directory = directory;
    if (directory != NULL && gateway_wanted(generation->settings))
        look(&complete.timer);
}
