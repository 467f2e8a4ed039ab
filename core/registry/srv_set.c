/* From records to a set of addresses. See srv_set.h. */
#include "registry/srv_set.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHT_USUAL 100u
#define WEIGHT_MAX   1000u

/* ---- Records ---- */

static int by_priority(const void *a, const void *b)
{
    const struct dns_server *one = a, *other = b;

    return (one->priority > other->priority) - (one->priority < other->priority);
}

size_t srv_sort(struct dns_server *servers, size_t count)
{
    size_t left = 0;

    for (size_t i = 0; i < count; i++) {
        if (servers[i].port != 0 && servers[i].target[0] != '\0')
            servers[left++] = servers[i];
    }
    qsort(servers, left, sizeof(*servers), by_priority);
    return left;
}

size_t srv_priority_size(const struct dns_server *servers, size_t count)
{
    size_t size = 0;

    while (size < count && servers[size].priority == servers[0].priority)
        size++;
    return size;
}

/* ---- Addresses ---- */

static bool can_be_at(const struct dns_address *address)
{
    static const uint8_t none[16];

    if (address->type == DNS_A)
        return address->bytes[0] != 0 && address->bytes[0] < 224;
    bool mapped = memcmp(address->bytes, none, 10) == 0 && address->bytes[10] == 0xff &&
                  address->bytes[11] == 0xff;
    return memcmp(address->bytes, none, 16) != 0 && address->bytes[0] != 0xff && !mapped;
}

void srv_target_take(struct srv_target *target, const struct dns_answer *answer, uint16_t type,
                     uint32_t *ttl_s)
{
    for (size_t i = 0; i < answer->address_count; i++) {
        const struct dns_address *address = &answer->addresses[i];
        if (address->type != type || strcmp(address->owner, target->name) != 0 ||
            target->count == SRV_TARGET_ADDRESSES_MAX || !can_be_at(address))
            continue;
        target->addresses[target->count++] = *address;
        if (address->ttl_s < *ttl_s)
            *ttl_s = address->ttl_s;
    }
}

static void format(const struct dns_address *address, uint16_t port, char text[ADDRESS_TEXT_SIZE])
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    memcpy(&four.sin_addr, address->bytes, sizeof(four.sin_addr));
    memcpy(&six.sin6_addr, address->bytes, sizeof(six.sin6_addr));
    if (address->type == DNS_A)
        address_format((const struct sockaddr *)&four, sizeof(four), text);
    else
        address_format((const struct sockaddr *)&six, sizeof(six), text);
}

/* ---- Sets ---- */

static void add(struct srv_set *set, const struct srv_member *member)
{
    if (set->count == SRV_ROWS_MAX)
        set->cut = true;
    else
        set->members[set->count++] = *member;
}

void srv_set_add(struct srv_set *set, const struct dns_server *server,
                 const struct srv_target *target, const struct srv_set *former)
{
    struct srv_member member = {.port = server->port};

    strcpy(member.target, server->target);
    for (size_t i = 0; i < target->count; i++) {
        member.weight = (double)server->weight / (double)target->count;
        format(&target->addresses[i], server->port, member.row.address);
        add(set, &member);
    }
    for (size_t i = 0; i < former->count && target->failed; i++) {
        if (former->members[i].port == server->port &&
            strcmp(former->members[i].target, server->target) == 0)
            add(set, &former->members[i]);
    }
}

static int by_address(const void *a, const void *b)
{
    const struct srv_member *one = a, *other = b;

    return strcmp(one->row.address, other->row.address);
}

/* Two records, or two names, may lead to one address: it has the weight of both. */
static void merge(struct srv_set *set)
{
    size_t left = 0;

    for (size_t i = 0; i < set->count; i++) {
        if (left > 0 && by_address(&set->members[left - 1], &set->members[i]) == 0)
            set->members[left - 1].weight += set->members[i].weight;
        else
            set->members[left++] = set->members[i];
    }
    set->count = left;
}

void srv_set_finish(struct srv_set *set)
{
    double most = 0;
    bool same = true;

    if (set->count > 0)
        qsort(set->members, set->count, sizeof(*set->members), by_address);
    merge(set);
    for (size_t i = 0; i < set->count; i++) {
        double weight = set->members[i].weight;
        most = weight > most ? weight : most;
        same = same && !(weight < set->members[0].weight || weight > set->members[0].weight);
    }
    for (size_t i = 0; i < set->count; i++) {
        uint32_t scaled =
            same ? WEIGHT_USUAL : (uint32_t)(set->members[i].weight * WEIGHT_MAX / most + 0.5);
        set->members[i].row.weight = scaled == 0 ? 1 : scaled;
    }
}

bool srv_set_same(const struct srv_set *one, const struct srv_set *other)
{
    if (one->count != other->count)
        return false;
    for (size_t i = 0; i < one->count; i++) {
        if (one->members[i].row.weight != other->members[i].row.weight ||
            strcmp(one->members[i].row.address, other->members[i].row.address) != 0)
            return false;
    }
    return true;
}
