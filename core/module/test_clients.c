/* Clients of a trial. See test_clients.h. */
#include "module/test_clients.h"

#include <pillion/test.h>
#include <stdlib.h>

#include "base/memory.h"

struct client {
    uint64_t id; /* 0: it is gone */
    bool moved;
    struct conn_values *values;
};

static struct client first = {.id = 1}; /* client 0 */
static struct client *others;
static unsigned count = 1, current;
static uint64_t last_id = 1;

static struct client *find(unsigned client)
{
    if (client == 0)
        return &first;
    return client < count ? &others[client - 1] : NULL;
}

unsigned test_client_current(void)
{
    return current;
}

bool test_client_is_there(unsigned client)
{
    const struct client *found = find(client);
    return found != NULL && found->id != 0;
}

void test_client_tell(unsigned client, struct request_connection *to)
{
    struct client *found = find(client);

    if (test_client_is_there(client))
        *to = (struct request_connection){
            .values = &found->values, .id = found->id, .moved = found->moved};
}

struct conn_values *test_client_values(unsigned client)
{
    const struct client *found = find(client);
    return found == NULL ? NULL : found->values;
}

void test_client_end(unsigned client)
{
    struct client *found = find(client);

    if (!test_client_is_there(client))
        return;
    *found = (struct client){.id = client == 0 ? ++last_id : 0, .values = found->values};
    if (client == current)
        current = 0;
    conn_values_end(&found->values, PILLION_CONN_CLOSED);
}

void test_clients_end(void)
{
    for (unsigned i = 0; i < count; i++)
        conn_values_end(&find(i)->values, PILLION_CONN_STOPPING);
    free(others);
    others = NULL;
    count = 1;
    current = 0;
    first = (struct client){.id = ++last_id};
}

PILLION_EXPORT unsigned pillion_test_connect(void)
{
    others = must_realloc(others, count * sizeof(*others));
    others[count - 1] = (struct client){.id = ++last_id};
    return current = count++;
}

PILLION_EXPORT void pillion_test_client(unsigned client)
{
    if (test_client_is_there(client))
        current = client;
}

PILLION_EXPORT void pillion_test_move(unsigned client)
{
    struct client *found = find(client);

    if (!test_client_is_there(client))
        return;
    found->moved = true;
    conn_values_end(&found->values, PILLION_CONN_MOVED);
}
