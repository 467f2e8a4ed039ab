/* Tells who its client is: at once, and later. */
#include <pillion/module.h>

static void add(cJSON *result, const char *name, const char *text)
{
    cJSON_AddItemToObject(result, name,
                          text == NULL ? cJSON_CreateNull() : cJSON_CreateString(text));
}

static void answer(pillion_request *req)
{
    cJSON *result = cJSON_CreateObject();

    add(result, "peer", pillion_peer(req));
    add(result, "sni", pillion_peer_name(req, "sni"));
    add(result, "alpn", pillion_peer_name(req, "alpn"));
    add(result, "cn", pillion_peer_name(req, "cn"));
    add(result, "other", pillion_peer_name(req, "other"));
    pillion_reply(req, "peer", result);
}

static void due(pillion_instance *self, void *data)
{
    pillion_request *req = pillion_resume(*(pillion_token *)data);

    (void)self;
    if (req != NULL)
        answer(req);
}

static void later(pillion_request *req)
{
    pillion_token *token = pillion_alloc(req, sizeof(*token));

    pillion_end_with(req, pillion_timer(pillion_self(req), 300, 0, due, token));
    *token = pillion_defer(req, 0);
}

static const pillion_method methods[] = {
    {.name = "peer", .handler = answer},
    {.name = "peer_later", .handler = later, .idempotent = true},
    {0},
};

PILLION_MODULE(.name = "peer", .version = "1", .methods = methods);
