/* The registry as it is shown: in rpc.stats, metrics, pages. Read from the board, of which nothing
 * is believed unchecked. Any process. */
#ifndef PILLION_RPC_REGISTRY_VIEW_H
#define PILLION_RPC_REGISTRY_VIEW_H

#include <cjson/cJSON.h>

#include "rpc/board.h"

struct registry_state {
    bool connected;
    uint64_t away_s; /* since the last answer, or the start; 0: it answers */
    uint64_t lease;
};

struct registry_service {
    uint32_t servers;
    bool known; /* false: no answer has come yet */
};

void registry_state(const struct board_registry *registry, struct registry_state *state);

/* The service of the row `index`, below BOARD_SERVICES_MAX. False when the row has none. */
bool registry_service(const struct board_registry *registry, uint32_t index,
                      struct registry_service *service, char name[DIRECTORY_NAME_MAX]);

/* {"connected": true, "away_seconds": 0, "why": "http://…", "lease": "694d…", "prefix":
 * "/pillion/shop", "addresses": 1, "registered": 1, "restarts": 0, "requests": 12, …, "dns":
 * {"names": 1, "names_unanswered": 0, "questions": 7, "failures": 0}, "services":
 * {"registry:/pillion/shop": {"servers": 3, "known": true}}}; NULL where the server has neither a
 * registry nor a module that wants a service. */
cJSON *registry_view(const struct board *board);

#endif
