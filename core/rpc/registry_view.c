/* Showing the registry. See registry_view.h. */
#include "rpc/registry_view.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/printable.h"

static uint64_t figure(const struct board_registry *registry, enum registry_figure which)
{
    return counter_read(&registry->figures[which]);
}

void registry_state(const struct board_registry *registry, struct registry_state *state)
{
    uint64_t lost_ns = figure(registry, REGISTRY_LOST_NS), now = clock_ns();

    *state = (struct registry_state){.connected = figure(registry, REGISTRY_THERE) != 0,
                                     .lease = counter_read(&registry->lease)};
    if (!state->connected && lost_ns != 0 && lost_ns < now)
        state->away_s = (now - lost_ns + NS_PER_S - 1) / NS_PER_S;
}

/* A text that the master may be about to change, as it may be shown. */
static void copy_text(char *to, size_t size, const char *from)
{
    char copy[512];
    struct text shown = {0};

    memcpy(copy, from, size);
    copy[size - 1] = '\0';
    text_append_line(&shown, bytes_of(copy));
    snprintf(to, size, "%s", text_string(&shown));
    text_free(&shown);
}

bool registry_service(const struct board_registry *registry, uint32_t index,
                      struct registry_service *service, char name[DIRECTORY_NAME_MAX])
{
    const struct board_service *row = &registry->services[index];

    if (!atomic_load(&row->used))
        return false;
    copy_text(name, DIRECTORY_NAME_MAX, row->name);
    *service = (struct registry_service){atomic_load(&row->servers), atomic_load(&row->known)};
    return true;
}

static void add_number(cJSON *view, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    cJSON_AddRawToObject(view, name, text);
}

static void add_text(cJSON *view, const char *name, const char *from, size_t size)
{
    char text[512];

    copy_text(text, size, from);
    cJSON_AddStringToObject(view, name, text);
}

static void add_own(cJSON *view, const struct board_registry *registry)
{
    struct registry_state state;
    char lease[24];

    registry_state(registry, &state);
    cJSON_AddBoolToObject(view, "connected", state.connected);
    add_number(view, "away_seconds", state.away_s);
    add_text(view, "why", registry->why, sizeof(registry->why));
    snprintf(lease, sizeof(lease), "%llx", (unsigned long long)state.lease); /* as etcdctl has it */
    if (state.lease != 0)
        cJSON_AddStringToObject(view, "lease", lease);
    else
        cJSON_AddNullToObject(view, "lease");
    add_text(view, "prefix", registry->prefix, sizeof(registry->prefix));
    add_number(view, "addresses", figure(registry, REGISTRY_KEYS));
    add_number(view, "registered", figure(registry, REGISTRY_HELD));
    add_number(view, "requests", figure(registry, REGISTRY_REQUESTS));
    add_number(view, "failures", figure(registry, REGISTRY_FAILURES));
    add_number(view, "moves", figure(registry, REGISTRY_MOVES));
    add_number(view, "leases", figure(registry, REGISTRY_LEASES));
    add_number(view, "snapshots", figure(registry, REGISTRY_SNAPSHOTS));
    add_number(view, "events", figure(registry, REGISTRY_EVENTS));
    add_number(view, "sent_bytes", figure(registry, REGISTRY_SENT));
    add_number(view, "received_bytes", figure(registry, REGISTRY_RECEIVED));
    add_number(view, "records_invalid", figure(registry, REGISTRY_BAD));
}

static void add_dns(cJSON *view, const struct board_registry *registry)
{
    cJSON *dns = cJSON_AddObjectToObject(view, "dns");

    add_number(dns, "names", figure(registry, REGISTRY_NAMES));
    add_number(dns, "names_unanswered", figure(registry, REGISTRY_NAMES_AWAY));
    add_number(dns, "questions", figure(registry, REGISTRY_QUESTIONS));
    add_number(dns, "failures", figure(registry, REGISTRY_QUESTIONS_FAILED));
}

cJSON *registry_view(const struct board *board)
{
    const struct board_registry *registry = &board->registry;
    struct registry_service service;
    char name[DIRECTORY_NAME_MAX];

    if (atomic_load(&registry->starts) == 0)
        return NULL;
    cJSON *view = cJSON_CreateObject();
    cJSON_AddNumberToObject(view, "pid", atomic_load(&registry->pid));
    add_number(view, "restarts", counter_read(&registry->restarts));
    if (atomic_load(&registry->configured))
        add_own(view, registry);
    if (figure(registry, REGISTRY_NAMES) > 0)
        add_dns(view, registry);
    cJSON *services = cJSON_AddObjectToObject(view, "services");
    for (uint32_t i = 0; i < BOARD_SERVICES_MAX; i++) {
        if (!registry_service(registry, i, &service, name))
            continue;
        cJSON *item = cJSON_AddObjectToObject(services, name);
        cJSON_AddNumberToObject(item, "servers", service.servers);
        cJSON_AddBoolToObject(item, "known", service.known);
    }
    return view;
}
