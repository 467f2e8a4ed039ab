/* Allocation that must succeed, and pools. See memory.h. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_SEPARATE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_SEPARATE 1
#endif
#endif
#ifndef POOL_SEPARATE
#define POOL_SEPARATE 0
#endif

static bool separate = POOL_SEPARATE;

#define POOL_CHUNK_MIN 4096u
#define POOL_KEEP_MAX  (1u << 20) /* largest first chunk that a reset keeps */
#define POOL_ALIGN     sizeof(max_align_t)

static void (*exhaustion_tell)(void);

void memory_on_exhaustion(void (*tell)(void))
{
    exhaustion_tell = tell;
}

_Noreturn void memory_exhausted(void)
{
    static const char message[] = "pillion: out of memory\n";
    if (exhaustion_tell != NULL)
        exhaustion_tell();
    if (write(STDERR_FILENO, message, sizeof(message) - 1) < 0)
        _exit(71);
    _exit(70);
}

void *must_alloc(size_t size)
{
    void *memory = malloc(size == 0 ? 1 : size);
    if (memory == NULL)
        memory_exhausted();
    return memory;
}

void *must_zalloc(size_t size)
{
    void *memory = calloc(1, size == 0 ? 1 : size);
    if (memory == NULL)
        memory_exhausted();
    return memory;
}

void *must_realloc(void *memory, size_t size)
{
    void *moved = realloc(memory, size == 0 ? 1 : size);
    if (moved == NULL)
        memory_exhausted();
    return moved;
}

char *must_strndup(const char *string, size_t size)
{
    char *copy = must_alloc(size + 1);
    memcpy(copy, string, size);
    copy[size] = '\0';
    return copy;
}

char *must_strdup(const char *string)
{
    return must_strndup(string, strlen(string));
}

char *must_printf(const char *format, ...)
{
    va_list args;
    char *string;

    va_start(args, format);
    int size = vasprintf(&string, format, args);
    va_end(args);
    if (size < 0)
        memory_exhausted();
    return string;
}

void pools_separate(void)
{
    separate = true;
}

struct pool_chunk {
    struct pool_chunk *older;
    char *end;
    max_align_t memory[];
};

static struct pool_chunk *chunk_new(struct pool *pool, size_t size)
{
    struct pool_chunk *chunk = malloc(sizeof(*chunk) + size);
    if (chunk == NULL)
        return NULL;
    chunk->older = pool->chunks;
    chunk->end = (char *)chunk->memory + size;
    pool->chunks = chunk;
    return chunk;
}

void *pool_alloc(struct pool *pool, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t rounded = (size + POOL_ALIGN - 1) / POOL_ALIGN * POOL_ALIGN;
    if (pool->limit != 0 && (rounded > pool->limit || pool->used > pool->limit - rounded))
        return NULL;

    if (separate) {
        struct pool_chunk *chunk = chunk_new(pool, size);
        if (chunk == NULL)
            return NULL;
        pool->used += rounded;
        return chunk->memory;
    }
    if (pool->next == NULL || (size_t)(pool->end - pool->next) < rounded) {
        /* Doubling keeps the list short, so that pool_owns stays cheap. */
        size_t wanted = pool->used < POOL_CHUNK_MIN ? POOL_CHUNK_MIN : pool->used;
        struct pool_chunk *chunk = chunk_new(pool, wanted > rounded ? wanted : rounded);
        if (chunk == NULL)
            return NULL;
        pool->next = (char *)chunk->memory;
        pool->end = chunk->end;
    }
    void *memory = pool->next;
    pool->next += rounded;
    pool->used += rounded;
    return memory;
}

void *pool_must_zalloc(struct pool *pool, size_t size)
{
    void *memory = pool_alloc(pool, size);
    if (memory == NULL)
        memory_exhausted();
    return memset(memory, 0, size);
}

char *pool_must_strndup(struct pool *pool, const char *string, size_t size)
{
    char *copy = pool_must_zalloc(pool, size + 1);
    memcpy(copy, string, size);
    return copy;
}

char *pool_must_strdup(struct pool *pool, const char *string)
{
    return pool_must_strndup(pool, string, strlen(string));
}

bool pool_owns(const struct pool *pool, const void *memory)
{
    uintptr_t at = (uintptr_t)memory;
    for (const struct pool_chunk *chunk = pool->chunks; chunk != NULL; chunk = chunk->older) {
        if (at >= (uintptr_t)chunk->memory && at < (uintptr_t)chunk->end)
            return true;
    }
    return false;
}

size_t pool_held(const struct pool *pool)
{
    size_t held = 0;

    for (const struct pool_chunk *chunk = pool->chunks; chunk != NULL; chunk = chunk->older)
        held += (size_t)(chunk->end - (char *)chunk->memory);
    return held;
}

static void pool_release(struct pool *pool, struct pool_chunk *until)
{
    while (pool->chunks != until) {
        struct pool_chunk *chunk = pool->chunks;
        pool->chunks = chunk->older;
        if (separate) /* so that a test notices memory that is used after its end */
            memset(chunk->memory, POISON, (size_t)(chunk->end - (char *)chunk->memory));
        free(chunk);
    }
}

bool pool_on_end(struct pool *pool, struct pool_end *end)
{
    if (pool->ending)
        return false;
    end->older = pool->ends;
    pool->ends = end;
    return true;
}

void pool_ends(struct pool *pool)
{
    struct pool_end *end;

    if (pool->ends == NULL || pool->ending)
        return;
    pool->ending = true;
    while ((end = pool->ends) != NULL) {
        pool->ends = end->older;
        end->call(end);
    }
    pool->ending = false;
}

void pool_empty(struct pool *pool)
{
    pool_ends(pool);
    pool->used = 0;
    if (pool->chunks == NULL)
        return;
    struct pool_chunk *first = NULL;
    if (!separate) {
        for (first = pool->chunks; first->older != NULL; first = first->older)
            ;
        if ((size_t)(first->end - (char *)first->memory) > POOL_KEEP_MAX) {
            pool_free(pool); /* one large request must not cost memory for ever */
            return;
        }
        pool->next = (char *)first->memory;
        pool->end = first->end;
    }
    pool_release(pool, first);
}

void pool_free(struct pool *pool)
{
    pool_ends(pool);
    pool_release(pool, NULL);
    *pool = (struct pool){.limit = pool->limit};
}
