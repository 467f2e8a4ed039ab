/* Where deferred requests live. See deferred_table.h. */
#include "rpc/deferred_table.h"

#include <stdlib.h>

#include "rpc/metric.h"

#define POOLS_KEPT    1024u /* so many requests that are over keep their memory for others ... */
#define POOL_KEPT_MAX 8192u /* ... where that is no more than this, in bytes */
#define TOKENS_KNOWN  8u    /* of each index: the last ones, to name a module that uses one again */

void deferreds_init(struct deferreds *all, struct loop *loop, uint64_t timeout_ms)
{
    *all = (struct deferreds){.loop = loop, .timeout_ms = timeout_ms};
    all->settling_end = &all->settling;
}

void deferreds_free(struct deferreds *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        if (all->table[i]->state != DEFERRED_FREE)
            deferred_free(all->table[i]);
        pool_free(&all->table[i]->pool);
        free(all->table[i]);
    }
    free(all->table);
    free(all->used);
    *all = (struct deferreds){0};
}

/* Whose token with this serial has been used up by its module; NULL when it ended otherwise. */
static const struct method **token_user(const struct deferred *deferred, uint32_t serial)
{
    return &deferred->all->used[(size_t)deferred->index * TOKENS_KNOWN + serial % TOKENS_KNOWN];
}

bool deferreds_grow(struct deferreds *all)
{
    if (all->count == all->capacity) {
        uint32_t capacity = all->capacity == 0 ? 64 : all->capacity * 2;
        struct deferred **table = realloc(all->table, capacity * sizeof(struct deferred *));
        if (table == NULL)
            return false;
        all->table = table;
        const struct method **used =
            realloc(all->used, (size_t)capacity * TOKENS_KNOWN * sizeof(*used));
        if (used == NULL)
            return false;
        all->used = used;
        all->capacity = capacity;
    }
    struct deferred *deferred = calloc(1, sizeof(*deferred));
    if (deferred == NULL)
        return false;
    deferred->all = all;
    deferred->index = all->count;
    for (uint32_t serial = 0; serial < TOKENS_KNOWN; serial++)
        *token_user(deferred, serial) = NULL;
    all->table[all->count++] = deferred;
    deferred->next = all->free;
    all->free = deferred;
    return true;
}

void deferred_renew(struct deferred *deferred)
{
    *token_user(deferred, deferred->serial) = deferred->req.method;
    deferred->resumed = false;
    deferred->serial = deferred_next_serial(deferred->serial);
}

const struct method *deferred_used_by(const struct deferred *deferred, uint32_t serial)
{
    if (serial == deferred->serial)
        return deferred->resumed ? deferred->req.method : NULL;
    return deferred->serial - serial < TOKENS_KNOWN ? *token_user(deferred, serial) : NULL;
}

void deferred_drop_reply(struct deferred *deferred)
{
    if (deferred->reply_malloced)
        free(deferred->reply);
    deferred->reply = NULL;
    deferred->reply_malloced = false;
}

/* Only the loop's thread writes the counts. */
void deferred_count_waiting(const struct deferred *deferred, int more)
{
    struct board_row *row = deferred->all->row;

    metric_step(deferred->instance, METRIC_WAITING, more);
    if (row == NULL || deferred->counted == 0 || deferred->counted > BOARD_METHODS_MAX)
        return;
    _Atomic uint32_t *waiting = &row->methods[deferred->counted - 1].waiting;
    uint32_t before = atomic_load_explicit(waiting, memory_order_relaxed);
    atomic_store_explicit(waiting, before + (uint32_t)more, memory_order_relaxed);
}

void deferred_free(struct deferred *deferred)
{
    struct deferreds *all = deferred->all;

    timer_cancel(all->loop, &deferred->timer);
    deferred_drop_reply(deferred);
    deferred->state = DEFERRED_OVER;
    deferred->req.answered = true;
    if (deferred->working)
        return;
    pool_ends(&deferred->pool); /* while its token still leads nowhere */
    deferred->state = DEFERRED_FREE;
    if (all->released != NULL)
        all->released(deferred);
    *token_user(deferred, deferred->serial) = deferred->resumed ? deferred->req.method : NULL;
    if (deferred->instance != NULL)
        deferred_count_waiting(deferred, -1);
    request_forget(&deferred->req);
    if (all->pending > POOLS_KEPT || pool_held(&deferred->pool) > POOL_KEPT_MAX)
        pool_free(&deferred->pool);
    else
        pool_reset(&deferred->pool);
    /* The other members stay: they tell whether the request of a stale token was resumed, and that
     * a request that a module has kept is answered. */
    deferred->req.pool = &deferred->pool;
    deferred->req.params = BYTES("null");
    deferred->req.body = BYTES("{}");
    deferred->req.id = (struct bytes){NULL, 0};
    deferred->req.tree = NULL;
    deferred->req.values = NULL;
    deferred->req.result = NULL;
    deferred->req.inner = NULL;
    deferred->req.peer_text = NULL;
    deferred->next = all->free;
    all->free = deferred;
    all->pending--;
}

void deferred_work_done(struct deferred *deferred)
{
    deferred->working = false;
    if (deferred->state == DEFERRED_OVER)
        deferred_free(deferred);
}
