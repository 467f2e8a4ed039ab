/* Calls at a request's end, and its values. See belongings.h. */
#include "rpc/belongings.h"

#include <string.h>

#include "base/log_seldom.h"
#include "rpc/callback.h"
#include "rpc/note.h"

/* ---- The end ---- */

struct ending {
    struct pool_end end;
    const pillion_instance *instance;
    struct origin origin;
    void (*ended)(void *data);
    void *data;
};

static void call_ended(struct pool_end *end)
{
    struct ending *ending = container_of(end, struct ending, end);

    struct note before = note_enter(DUTY_END, ending->instance, &ending->origin);
    ending->ended(ending->data);
    note_leave(&before);
}

/* True once the request's calls are made: nothing can be added to them any more. */
static bool is_over(const struct pillion_request *req)
{
    if (req->pool->ending)
        log_seldom(
            LOG_ERROR_LEVEL, req->method,
            "module %s: \"%s\" adds to the end of a request that is over, which does nothing",
            request_instance(req)->name, req->method->own_name);
    return req->pool->ending;
}

bool request_on_end(struct pillion_request *req, void (*ended)(void *data), void *data)
{
    struct ending *ending = is_over(req) ? NULL : pool_alloc(req->pool, sizeof(*ending));

    if (ending == NULL)
        return false;
    *ending = (struct ending){
        .end.call = call_ended,
        .instance = request_instance(req),
        .ended = ended,
        .data = data,
    };
    request_origin(req, &ending->origin);
    return pool_on_end(req->pool, &ending->end);
}

struct tied {
    struct pool_end end;
    uint64_t handle;
};

static void end_tied(struct pool_end *end)
{
    callback_cancel(container_of(end, struct tied, end)->handle);
}

bool request_end_with(struct pillion_request *req, uint64_t handle)
{
    struct tied *tied = handle == 0 || is_over(req) ? NULL : pool_alloc(req->pool, sizeof(*tied));

    if (tied == NULL)
        return false;
    *tied = (struct tied){.end.call = end_tied, .handle = handle};
    return pool_on_end(req->pool, &tied->end);
}

/* ---- Values ---- */

struct request_value {
    const char *key;
    void *value;
    struct request_value *older;
};

static struct request_value *find(const struct pillion_request *req, const char *key)
{
    struct request_value *value = req->values;

    while (value != NULL && strcmp(value->key, key) != 0)
        value = value->older;
    return value;
}

bool request_set_value(struct pillion_request *req, const char *key, void *value)
{
    struct request_value *own = find(req, key);

    if (own == NULL) {
        size_t size = strlen(key) + 1;
        own = pool_alloc(req->pool, sizeof(*own) + size);
        if (own == NULL)
            return false;
        own->key = memcpy(own + 1, key, size);
        own->older = req->values;
        req->values = own;
    }
    own->value = value;
    return true;
}

void *request_value(const struct pillion_request *req, const char *key)
{
    const struct request_value *value = find(req, key);
    return value == NULL ? NULL : value->value;
}
