/* What module code runs for, as notes, timers and jobs keep it. */
#ifndef PILLION_RPC_ORIGIN_H
#define PILLION_RPC_ORIGIN_H

#include <stdint.h>

/* A request, or its method alone. Zeroed: neither. */
struct origin {
    uint32_t method;            /* 1 + its index on the board */
    uint64_t connection, place; /* of the request's frame: see struct board_note */
};

#endif
