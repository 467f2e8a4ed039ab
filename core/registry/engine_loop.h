/* An engine (registry/engine.h) that is driven by the process's event loop. */
#ifndef PILLION_REGISTRY_ENGINE_LOOP_H
#define PILLION_REGISTRY_ENGINE_LOOP_H

#include "event/loop.h"
#include "registry/engine.h"

/* How the engine is called. */
struct engine_calls {
    void *engine;
    void (*ready)(void *engine, int fd, unsigned is); /* ENGINE_READ, ENGINE_WRITE or both */
    void (*due)(void *engine);
};

struct engine_loop;

/* Never NULL. The loop has to outlive it. */
struct engine_loop *engine_loop_open(struct loop *loop);

/* What an engine is opened with. */
struct engine_host engine_loop_host(struct engine_loop *engine);

/* The engine that was opened with it, before the loop runs. */
void engine_loop_use(struct engine_loop *engine, const struct engine_calls *calls);

/* When the engine is closed. */
void engine_loop_close(struct engine_loop *engine);

#endif
