/* Methods with params by table: answered at once, later, from a thread, and once more after a
 * crash. */
#include <pillion/module.h>
#include <string.h>

struct item {
    const char *sku;
    int64_t pieces;
};

static const pillion_param item_params[] = {
    PILLION_PARAM(struct item, sku, PILLION_STRING, .min = 1, .max = 8, .required = true),
    PILLION_PARAM(struct item, pieces, PILLION_INTEGER, .fallback = "1", .min = 1, .max = 99),
    {0},
};

struct order {
    const char *name;
    pillion_array items;
    pillion_bytes note, raw;
};

static const pillion_param order_params[] = {
    PILLION_PARAM(struct order, name, PILLION_STRING, .required = true, .max = 64,
                  .summary = "Of whom it is."),
    PILLION_PARAM(struct order, items, PILLION_OBJECT, .list = true, .least = 1,
                  PILLION_MEMBERS(struct item, item_params)),
    PILLION_PARAM(struct order, note, PILLION_BYTES),
    PILLION_PARAM(struct order, raw, PILLION_JSON),
    {0},
};

/* A call under way. */
struct work {
    const struct order *order;
    pillion_token token;
    int64_t pieces;
};

static int64_t count(const struct order *order)
{
    const struct item *items = order->items.items;
    int64_t pieces = 0;

    for (size_t i = 0; i < order->items.count; i++)
        pieces += items[i].pieces + (int64_t)strlen(items[i].sku);
    return pieces;
}

static void answer(pillion_request *req, const struct order *order, int64_t pieces)
{
    cJSON *result = cJSON_CreateObject();

    cJSON_AddStringToObject(result, "name", order->name);
    cJSON_AddNumberToObject(result, "pieces", (double)pieces);
    cJSON_AddNumberToObject(result, "note", (double)order->note.size);
    cJSON_AddItemToObject(result, "raw", cJSON_ParseWithLength(order->raw.data, order->raw.size));
    pillion_reply(req, "order", result);
}

static void order(pillion_request *req)
{
    const struct order *params = pillion_args(req);

    answer(req, params, count(params));
}

static void due(pillion_instance *self, void *data)
{
    struct work *work = data;
    pillion_request *req = pillion_resume(work->token);

    if (req == NULL)
        return;
    if (pillion_args(req) != work->order)
        pillion_fail(req, "moved", "the structure is another one");
    else
        answer(req, work->order, count(work->order));
}

static void later(pillion_request *req)
{
    struct work *work = pillion_alloc(req, sizeof(*work));

    work->order = pillion_args(req);
    work->token = pillion_defer(req, 0);
    pillion_timer(pillion_self(req), 50, 0, due, work);
}

static void in_thread(void *data)
{
    struct work *work = data;

    work->pieces = count(work->order);
}

static void done(pillion_request *req, void *data)
{
    const struct work *work = data;

    if (req != NULL)
        answer(req, work->order, work->pieces);
}

static void pool(pillion_request *req)
{
    struct work *work = pillion_alloc(req, sizeof(*work));

    work->order = pillion_args(req);
    pillion_offload(req, 0, in_thread, done, work);
}

/* Crashes in the first worker that runs it; the zone tells. */
static void once_more(pillion_request *req)
{
    pillion_zone *zone = pillion_zone_open(pillion_self(req), "typed");

    if (pillion_zone_add(zone, "runs", 4, 1, 0) == 1)
        pillion_defer(req, 0);
    else
        order(req);
}

static void none(pillion_request *req)
{
    pillion_reply_raw(req, "none", pillion_params_raw(req));
}

struct say {
    const char *text;
    int64_t times;
};

static const pillion_param say_params[] = {
    PILLION_PARAM(struct say, text, PILLION_STRING, .required = true),
    PILLION_PARAM(struct say, times, PILLION_INTEGER, .fallback = "1"),
    {0},
};

static void say(pillion_request *req)
{
    const struct say *params = pillion_args(req);
    cJSON *result = cJSON_CreateObject();

    cJSON_AddNumberToObject(result, params->text, (double)params->times);
    pillion_reply(req, "say", result);
}

static const pillion_param no_params[] = {{0}};

static const pillion_method methods[] = {
    {.name = "order",
     .handler = order,
     .summary = "Takes an order.",
     PILLION_PARAMS(struct order, order_params)},
    {.name = "later", .handler = later, PILLION_PARAMS(struct order, order_params)},
    {.name = "pool", .handler = pool, PILLION_PARAMS(struct order, order_params)},
    {.name = "once_more",
     .handler = once_more,
     .idempotent = true,
     PILLION_PARAMS(struct order, order_params)},
    {.name = "open", .handler = order, PILLION_PARAMS(struct order, order_params), .open = true},
    {.name = "say", .handler = say, .read_only = true, PILLION_PARAMS(struct say, say_params)},
    {.name = "none", .handler = none, .args = no_params},
    {0},
};

PILLION_MODULE(.name = "typed", .version = "1", .methods = methods);
