/* Writing metrics of the registry. See exposition_registry.h. */
#include "rpc/exposition_registry.h"

#include "rpc/exposition_text.h"
#include "rpc/registry_view.h"

static const struct {
    enum registry_figure figure;
    const char *name, *help;
} counters[] = {
    {REGISTRY_REQUESTS, "registry_requests_total", "Requests to the registry."},
    {REGISTRY_FAILURES, "registry_failures_total",
     "Requests that the registry has not answered, or refused."},
    {REGISTRY_MOVES, "registry_moves_total", "Times another member of the registry was turned to."},
    {REGISTRY_LEASES, "registry_leases_total",
     "Leases taken: the first, and others in place of lost ones."},
    {REGISTRY_SNAPSHOTS, "registry_snapshots_total", "Times all of a watched prefix was read."},
    {REGISTRY_EVENTS, "registry_events_total", "Changes that watches have brought."},
    {REGISTRY_SENT, "registry_sent_bytes_total", "Bytes sent to the registry."},
    {REGISTRY_RECEIVED, "registry_received_bytes_total", "Bytes received from the registry."},
};

static void write_services(const struct board_registry *registry, struct text *out)
{
    char name[DIRECTORY_NAME_MAX];
    struct registry_service service;

    family(out, "registry_instances", "gauge", "Servers that a wanted service has.");
    for (uint32_t i = 0; i < BOARD_SERVICES_MAX; i++) {
        if (!registry_service(registry, i, &service, name))
            continue;
        text_append_string(out, "pillion_registry_instances{service=\"");
        label(out, name);
        text_append_string(out, "\"}");
        count(out, service.servers);
    }
}

static void write_own(const struct board_registry *registry, struct text *out)
{
    struct registry_state state;

    registry_state(registry, &state);
    one(out, "registry_connected", "gauge", "1 while the registry answers.", state.connected);
    one(out, "registry_last_contact_age_seconds", "gauge",
        "For how long the registry has not answered; 0: it does.", state.away_s);
    one(out, "registry_lease", "gauge", "1 while the server has a lease.", state.lease != 0);
    one(out, "registry_addresses", "gauge", "Addresses that this server is to register.",
        counter_read(&registry->figures[REGISTRY_KEYS]));
    one(out, "registry_registered", "gauge", "Addresses of this server that are registered.",
        counter_read(&registry->figures[REGISTRY_HELD]));
    one(out, "registry_records_invalid", "gauge",
        "Records of others that made no sense, since the process has been running.",
        counter_read(&registry->figures[REGISTRY_BAD]));
    for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
        one(out, counters[i].name, "counter", counters[i].help,
            counter_read(&registry->figures[counters[i].figure]));
}

static void write_dns(const struct board_registry *registry, struct text *out)
{
    one(out, "dns_names", "gauge", "Services of DNS that are looked for.",
        counter_read(&registry->figures[REGISTRY_NAMES]));
    one(out, "dns_names_unanswered", "gauge",
        "Of them, those that no name server answers for now: their last known servers are used.",
        counter_read(&registry->figures[REGISTRY_NAMES_AWAY]));
    one(out, "dns_questions_total", "counter", "Questions to name servers.",
        counter_read(&registry->figures[REGISTRY_QUESTIONS]));
    one(out, "dns_failures_total", "counter", "Questions that no name server has answered.",
        counter_read(&registry->figures[REGISTRY_QUESTIONS_FAILED]));
}

void exposition_write_registry(const struct board *board, struct text *out)
{
    const struct board_registry *registry = &board->registry;

    if (atomic_load(&registry->starts) == 0)
        return;
    one(out, "registry_restarts_total", "counter",
        "Times that the process that speaks to the registry was started again.",
        counter_read(&registry->restarts));
    if (atomic_load(&registry->configured))
        write_own(registry, out);
    if (counter_read(&registry->figures[REGISTRY_NAMES]) > 0)
        write_dns(registry, out);
    write_services(registry, out);
}
