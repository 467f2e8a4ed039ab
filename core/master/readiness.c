/* Looking at the workers. See readiness.h. */
#include "master/readiness.h"

#include "base/clock.h"
#include "base/log.h"
#include "event/loop.h"
#include "master/master.h"
#include "rpc/overview.h"

#define LOOK_NS   (250 * NS_PER_MS)
#define WORSE_NS  (2 * NS_PER_S) /* that it has to be worse, or better, before that is told */
#define BETTER_NS NS_PER_S

static struct {
    struct timer timer;
    enum offer told, seen;
    uint64_t since_ns; /* it has been as it was seen */
    void (*tell)(enum offer how);
} readiness;

static enum offer look(void)
{
    uint32_t serving = overview_serving(master.board);

    if (serving == 0)
        return OFFER_NONE;
    return overview_holdings(master.board).crowded >= serving ? OFFER_LITTLE : OFFER_WHOLE;
}

static void say(enum offer how)
{
    if (how == OFFER_NONE)
        log_warn("no worker serves: this server's addresses are taken out of the registry");
    else if (how == OFFER_LITTLE)
        log_warn("every worker is full: this server's addresses are in the registry with the least "
                 "weight");
    else
        log_notice("this server is ready again: its addresses are in the registry as before");
}

static void next_look(struct timer *timer)
{
    enum offer now = look();
    uint64_t at = clock_ns();

    if (now != readiness.seen)
        readiness.since_ns = at;
    readiness.seen = now;
    if (now != readiness.told &&
        at - readiness.since_ns >= (now < readiness.told ? WORSE_NS : BETTER_NS)) {
        readiness.told = now;
        say(now);
        readiness.tell(now);
    }
    timer_set(&master.loop, timer, LOOK_NS, next_look);
}

void readiness_watch(enum offer now, void (*tell)(enum offer how))
{
    readiness.told = readiness.seen = now;
    readiness.since_ns = clock_ns();
    readiness.tell = tell;
    timer_set(&master.loop, &readiness.timer, LOOK_NS, next_look);
}

void readiness_stop(void)
{
    timer_cancel(&master.loop, &readiness.timer);
}
