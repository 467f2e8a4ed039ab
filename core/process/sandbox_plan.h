/* What a generation's processes may do beside serving: the needs of all its modules together, as
 * they declare them or as the configuration says, and the files that go with them. Modules share a
 * process, so what one needs is open to all. */
#ifndef PILLION_PROCESS_SANDBOX_PLAN_H
#define PILLION_PROCESS_SANDBOX_PLAN_H

#include "process/generation.h"

struct sandbox_path {
    const char *path;
    unsigned access; /* of enum sandbox_access */
};

struct sandbox_plan {
    uint32_t needs; /* PILLION_NEEDS_… and SANDBOX_… */
    struct sandbox_path *paths;
    size_t path_count;
    uint16_t *ports; /* the only ones that TCP may connect to, where there are any */
    size_t port_count;
    struct text told; /* "network (redis.so), files (access_log.so)", "" when there is none */
    struct pool pool;
};

/* Reads the modules' files, and runs nothing of them. In the process that is to be locked down,
 * where it may open no more files than later. */
void sandbox_plan_make(const struct generation *generation, struct sandbox_plan *plan);

/* The same for a process without modules that speaks to the network, and looks names up. */
void sandbox_plan_network(struct sandbox_plan *plan);

void sandbox_plan_free(struct sandbox_plan *plan);

#endif
