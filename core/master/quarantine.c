/* Quarantine, in the master: methods that end their workers again and again are taken out of
 * service.
 *
 * The master counts the deaths, because it sees every worker die. Workers look at one flag on the
 * board before they run a method. A reload ends all quarantines. See quarantine.h. */
#include "master/quarantine.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/report.h"

/* The latest crashes of a method: a ring that is long enough for any `quarantine_crashes`. */
struct history {
    uint64_t at_ns[QUARANTINE_CRASHES_MAX];
    uint32_t next;
    bool filters; /* one of the crashes was in a filter and not in the handler */
};

static struct history *histories[BOARD_METHODS_MAX]; /* NULL: never crashed */

/* Takes the method out of service, in every server that has it. */
static void set_level(uint32_t method, uint32_t level)
{
    for (; method != BOARD_NO_METHOD; method = board_next_of_name(master.board, method))
        atomic_store(&master.board->quarantined[method], level);
}

void quarantine_count(uint32_t method, bool filter)
{
    const struct settings *settings = generation_current()->settings;
    uint32_t limit = (uint32_t)settings->quarantine_crashes;
    uint64_t now = clock_ns();

    if (limit == 0 || method >= BOARD_METHODS_MAX)
        return;
    /* Servers count apart what is the same code: its crashes are counted together. */
    method = board_find_method(master.board, bytes_of(master.board->names[method]));
    if (method == BOARD_NO_METHOD)
        return;
    if (histories[method] == NULL)
        histories[method] = must_zalloc(sizeof(*histories[method]));
    struct history *history = histories[method];
    history->at_ns[history->next] = now;
    history->next = (history->next + 1) % QUARANTINE_CRASHES_MAX;
    history->filters = history->filters || filter;

    /* A quarantined method's handler ends no worker any more, but a filter that sees its refusals
     * may: then the filters are switched off, too. */
    uint32_t level = history->filters ? QUARANTINED_WITH_FILTERS : QUARANTINED;
    if (atomic_load(&master.board->quarantined[method]) != QUARANTINED_NOT) {
        set_level(method, level);
        return;
    }
    uint32_t first = (history->next + QUARANTINE_CRASHES_MAX - limit) % QUARANTINE_CRASHES_MAX;
    if (history->at_ns[first] == 0 ||
        now - history->at_ns[first] > settings->quarantine_window_ms * NS_PER_MS)
        return;
    set_level(method, level);
    const struct report_subject subject = {.method = master.board->names[method]};
    report(JOURNAL_QUARANTINE, &subject,
           "\"%s\" has ended its worker %u times within %llu ms: it is out of service until the "
           "next reload (quarantine_crashes)",
           subject.method, limit, (unsigned long long)settings->quarantine_window_ms);
}

void quarantine_clear(void)
{
    for (uint32_t i = 0; i < BOARD_METHODS_MAX; i++) {
        atomic_store_explicit(&master.board->quarantined[i], 0, memory_order_relaxed);
        if (histories[i] != NULL)
            memset(histories[i], 0, sizeof(*histories[i]));
    }
}
