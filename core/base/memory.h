/* Memory: allocation that must succeed, and pools.
 *
 * `must_*` is for configuration and start-up, where no client waits: exhaustion is written to
 * standard error, told as memory_on_exhaustion says, and ends the process. Requests use pools,
 * which report exhaustion.
 *
 * A pool's lifetime is an object's lifetime (a configuration, a request). Everything in it is freed
 * together. Under AddressSanitizer each allocation of a pool is one of malloc's, so that overruns
 * between neighbours are seen. */
#ifndef PILLION_BASE_MEMORY_H
#define PILLION_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Ends the process, as `must_*` does without memory. Where clients wait it is the last resort: the
 * end of a worker costs no client its connection. */
_Noreturn void memory_exhausted(void);

void *must_alloc(size_t size);
void *must_zalloc(size_t size);
void *must_realloc(void *memory, size_t size);
char *must_strdup(const char *string);
char *must_strndup(const char *string, size_t size);
__attribute__((format(printf, 1, 2))) char *must_printf(const char *format, ...);

/* Has `tell` called before a must_* ends the process. It must not allocate. */
void memory_on_exhaustion(void (*tell)(void));

struct pool_chunk;

/* What is called when a pool's memory ends: a part of a structure of its user's. */
struct pool_end {
    struct pool_end *older;
    void (*call)(struct pool_end *end);
};

/* Starts as `{0}`. `used` counts bytes handed out since the last reset. */
struct pool {
    struct pool_chunk *chunks; /* newest first */
    char *next, *end;          /* free part of the newest chunk */
    struct pool_end *ends;     /* newest first */
    bool ending;               /* they are being called */
    size_t used;
    size_t limit; /* bytes that `used` may reach; 0 is unlimited */
};

/* From now on each allocation of every pool is one of malloc's, as in a build with
 * AddressSanitizer, so that tools notice a module that writes beyond its allocation. Memory is
 * overwritten before it is freed, so that a module that still reads it finds no text there. */
void pools_separate(void);
#define POISON 0xdb

/* Uninitialised memory, aligned for any type, or NULL (out of memory, or over the limit). */
void *pool_alloc(struct pool *pool, size_t size);

/* The same for configuration time: zeroed, never NULL. */
void *pool_must_zalloc(struct pool *pool, size_t size);
char *pool_must_strdup(struct pool *pool, const char *string);
char *pool_must_strndup(struct pool *pool, const char *string, size_t size);

/* True when `memory` was handed out by this pool since its last reset. */
bool pool_owns(const struct pool *pool, const void *memory);

/* Bytes that the pool has from malloc(3). */
size_t pool_held(const struct pool *pool);

/* Has `end`, which lies in the pool's memory, called before that memory ends: the newest first.
 * pool_ends calls them ahead of that. False, and it is not called, from such a call itself. */
bool pool_on_end(struct pool *pool, struct pool_end *end);
void pool_ends(struct pool *pool);

/* Forgets everything handed out; keeps the first chunk for reuse, unless it is large. Most requests
 * take nothing from their pool. */
void pool_empty(struct pool *pool);
static inline void pool_reset(struct pool *pool)
{
    if (pool->used != 0)
        pool_empty(pool);
}
void pool_free(struct pool *pool);

#endif
