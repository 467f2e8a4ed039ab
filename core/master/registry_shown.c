/* The registry on the board. See registry_shown.h. */
#include "master/registry_shown.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/printable.h"
#include "master/master.h"
#include "master/report.h"
#include "rpc/board.h"

static struct board_registry *shown(void)
{
    return &master.board->registry;
}

static void store(counter *to, uint64_t value)
{
    atomic_store_explicit(to, value, memory_order_relaxed);
}

/* Readers see an old text, a new one, or parts of both; it ends within its size in any case. */
static void store_text(char *to, size_t size, const char *text)
{
    struct text line = {0};

    text_append_line(&line, bytes_of(text));
    snprintf(to, size, "%s", text_string(&line));
    text_free(&line);
}

void registry_shown_start(pid_t pid, const struct registry_settings *settings)
{
    struct board_registry *registry = shown();

    if (atomic_load(&registry->starts) > 0 && settings != NULL)
        store(&registry->restarts, counter_read(&registry->restarts) + 1);
    atomic_store(&registry->starts, 1);
    atomic_store(&registry->configured, settings != NULL);
    atomic_store(&registry->pid, pid);
    if (settings == NULL || settings->prefix == NULL)
        registry->prefix[0] = '\0';
    else
        store_text(registry->prefix, sizeof(registry->prefix), settings->prefix);
}

void registry_shown_end(void)
{
    atomic_store(&shown()->pid, 0);
    if (counter_read(&shown()->figures[REGISTRY_THERE]) == 0)
        return;
    store(&shown()->figures[REGISTRY_THERE], 0);
    store(&shown()->figures[REGISTRY_LOST_NS], clock_ns());
}

void registry_shown_lease(int64_t lease)
{
    store(&shown()->lease, (uint64_t)lease);
}

/* For how long the registry has been away, as it was told; 0: it was not. */
static uint64_t away_s(void)
{
    uint64_t lost_ns = counter_read(&shown()->figures[REGISTRY_LOST_NS]);

    if (!atomic_load(&shown()->lost) || lost_ns == 0)
        return 0;
    uint64_t seconds = (clock_ns() - lost_ns) / NS_PER_S;
    return seconds == 0 ? 1 : seconds;
}

static void show_contact(const struct message *message)
{
    struct board_registry *registry = shown();

    if (message->number == CONTACT_LOST && counter_read(&registry->figures[REGISTRY_LOST_NS]) == 0)
        store(&registry->figures[REGISTRY_LOST_NS], clock_ns());
    if (message->number == CONTACT_LOST)
        atomic_store(&registry->lost, true);
    if (message->number == CONTACT_THERE) {
        atomic_store(&registry->lost, false);
        store(&registry->figures[REGISTRY_LOST_NS], 0);
        store(&registry->figures[REGISTRY_THERE], 1);
    }
    store_text(registry->why, sizeof(registry->why), message->text);
}

void registry_shown_contact(pid_t pid, const struct message *message)
{
    const struct report_subject subject = {.pid = pid};
    uint64_t away = away_s();

    show_contact(message);
    if (message->number == CONTACT_LOST)
        report(JOURNAL_REGISTRY_LOST, &subject,
               "the registry does not answer (%s): the servers that were known last are used",
               message->text);
    else if (message->number == CONTACT_REFUSED)
        report(JOURNAL_REGISTRY_REFUSED, &subject, "the registry: %s", message->text);
    else if (away > 0)
        report(JOURNAL_REGISTRY_BACK, &subject, "the registry answers again, after %llu s (%s)",
               (unsigned long long)away, message->text);
    else
        log_info("the registry answers: %s", message->text);
}

void registry_shown_figures(const struct message *message)
{
    for (uint32_t i = 0; i < REGISTRY_FIGURES && i < message->count; i++)
        store(&shown()->figures[i], message->ids[i]);
}

/* The service's row, or a free one; NULL when there is none. */
static struct board_service *row_of(const char *name)
{
    struct board_service *unused = NULL;

    for (uint32_t i = 0; i < BOARD_SERVICES_MAX; i++) {
        struct board_service *row = &shown()->services[i];
        bool used = atomic_load(&row->used);
        if (used && strcmp(row->name, name) == 0)
            return row;
        if (!used && unused == NULL)
            unused = row;
    }
    return unused;
}

void registry_shown_service(const struct message *message)
{
    struct board_service *row = row_of(message->text);

    if (row == NULL)
        return;
    if (!atomic_load(&row->used))
        store_text(row->name, sizeof(row->name), message->text);
    atomic_store(&row->servers, (uint32_t)message->number);
    atomic_store(&row->known, message->serial != 0);
    atomic_store(&row->used, true);
}

void registry_shown_wanted(const char *const *names, size_t count)
{
    for (uint32_t i = 0; i < BOARD_SERVICES_MAX; i++) {
        struct board_service *row = &shown()->services[i];
        bool wanted = false;
        for (size_t k = 0; k < count && !wanted; k++)
            wanted = strcmp(row->name, names[k]) == 0;
        if (!wanted && atomic_load(&row->used))
            atomic_store(&row->used, false);
    }
}
