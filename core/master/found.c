/* Looking after the methods of `proxy_all`. See found.h. */
#include "master/found.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/directory_memory.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/state.h"
#include "process/gateway.h"

#define LOOK_NS        (100 * NS_PER_MS)
#define PATIENCE_MS    (3600 * UINT64_C(1000))
#define FAILURES_COUNT 16u /* doubled so often, every interval is longer than that */

static struct {
    bool (*reload)(void);
    struct timer timer;
    uint64_t told;     /* directory_told when the methods were looked at last */
    bool differs;      /* they are others than those of the current generation ... */
    bool only_lacks;   /* ... which has some that are gone, and all that are there */
    uint64_t since_ns; /* when that was seen first */
    uint64_t number;   /* of the generation that served when the last reload began */
    uint64_t begun_ns; /* when that was; 0: never */
    unsigned failures; /* reloads for the same reason that have changed nothing */
    uint64_t known_ns; /* found_known_ns */
} found;

void found_begin(bool (*reload)(void))
{
    found.reload = reload;
}

/* Compares the methods in the directory with those of the current generation. Where not everything
 * is known, nothing is known to be gone. */
static void compare(const struct generation *current, const struct directory *directory)
{
    struct text now = {0};
    bool differed = found.differs && found.only_lacks;

    bool known = gateway_look(current->settings, directory, &now);
    if (known && found.known_ns == 0)
        found.known_ns = clock_ns();
    found.differs = strcmp(text_string(&now), text_string(&current->found)) != 0;
    found.only_lacks = found.differs && gateway_only_lacks(&current->found, &now);
    found.differs = found.differs && (known || !found.only_lacks);
    if (!differed)
        found.since_ns = clock_ns();
    text_free(&now);
}

/* How long after the last reload of its own the next one may begin. */
static uint64_t pause_ns(const struct settings *settings)
{
    unsigned times = found.failures < FAILURES_COUNT ? found.failures : FAILURES_COUNT;
    uint64_t ms = settings->proxy_all_interval_ms << times;

    return (ms < PATIENCE_MS || times == 0 ? ms : PATIENCE_MS) * NS_PER_MS;
}

static bool is_time(const struct settings *settings)
{
    uint64_t now_ns = clock_ns();

    if (found.only_lacks && now_ns - found.since_ns < settings->proxy_all_keep_ms * NS_PER_MS)
        return false;
    return found.begun_ns == 0 || now_ns - found.begun_ns >= pause_ns(settings);
}

static void begin(const struct generation *current)
{
    if (!found.reload())
        return;
    log_notice("other methods are offered below proxy_all: generation %llu reloads with the "
               "configuration in use",
               (unsigned long long)current->number);
    /* The last one has changed nothing when the generation is still the same. */
    found.failures = found.number == current->number ? found.failures + 1 : 0;
    found.number = current->number;
    found.begun_ns = clock_ns();
}

static void look(struct timer *timer)
{
    const struct generation *current = generation_current();
    const struct directory *directory = directory_memory();

    if (master.mode != MASTER_RUNNING || current == NULL || current->former)
        return;
    timer_set(&master.loop, timer, LOOK_NS, look);
    if (directory == NULL)
        return;
    uint64_t told = directory_told(directory);
    if (told != found.told)
        compare(current, directory);
    found.told = told;
    if (found.differs && is_time(current->settings))
        begin(current);
}

void found_serve(void)
{
    const struct generation *current = generation_current();

    found.differs = false;
    found.failures = 0;
    found.told = UINT64_MAX; /* looked at anew: they may have changed since it was built */
    if (gateway_wanted(current->settings))
        timer_set(&master.loop, &found.timer, 0, look);
    else
        timer_cancel(&master.loop, &found.timer);
}

uint64_t found_known_ns(void)
{
    return found.known_ns;
}

void found_write(cJSON *state)
{
    cJSON_AddNumberToObject(state, "found_known_ns", (double)found.known_ns);
}

/* A former binary that does not say it has served with what it knew. */
void found_read(const cJSON *state)
{
    found.known_ns = (uint64_t)state_number(state, "found_known_ns", 1);
}
