/* Services as a module sees them: which servers there are, and how often it was told. */
#include <pillion/module.h>
#include <stdio.h>
#include <string.h>

struct config {
    pillion_list services;
};

static const pillion_directive directives[] = {
    {.name = "services", .type = PILLION_LIST, .offset = offsetof(struct config, services)},
    {0},
};

static struct opened {
    pillion_service *service;
    int64_t told;
} opened[8];

static void changed(pillion_instance *self, void *data)
{
    struct opened *it = data;

    pillion_log(self, PILLION_LOG_NOTICE, "service %d has changed", (int)(it - opened));
    it->told++;
}

static int check(pillion_instance *self, pillion_error_text *error)
{
    const struct config *config = pillion_config(self);

    for (size_t i = 0; i < config->services.count; i++) {
        if (pillion_service_open(self, config->services.items[i], changed, NULL, error) == NULL)
            return -1;
    }
    return 0;
}

static int start(pillion_instance *self, pillion_error_text *error)
{
    const struct config *config = pillion_config(self);

    for (size_t i = 0; i < config->services.count; i++) {
        opened[i].service =
            pillion_service_open(self, config->services.items[i], changed, &opened[i], error);
        if (opened[i].service == NULL)
            return -1;
    }
    return 0;
}

struct params {
    int64_t index;
    const char *method;
};

static const pillion_param rows[] = {
    PILLION_PARAM(struct params, index, PILLION_INTEGER),
    PILLION_PARAM(struct params, method, PILLION_STRING),
    {0},
};

static bool put(const pillion_service_server *server, void *data)
{
    pillion_request *req = data;
    char text[256];

    snprintf(text, sizeof(text), "%s %u %s", server->address, server->weight,
             server->age_ms == UINT64_MAX ? "first"
             : server->age_ms < 60000     ? "new"
                                          : "old");
    pillion_put_string(req, NULL, text);
    return strcmp(server->address, "stop") != 0;
}

static void servers(pillion_request *req)
{
    const struct params *params = pillion_args(req);

    pillion_begin_array(req, "servers");
    pillion_service_each(opened[params->index].service, params->method, put, req);
    pillion_end(req);
}

/* "unknown", or "known" with how often it was told. */
static void known(pillion_request *req)
{
    const struct params *params = pillion_args(req);
    const struct opened *it = &opened[params->index];

    pillion_begin_array(req, "known");
    pillion_put_flag(req, NULL, pillion_service_version(it->service) != 0);
    pillion_put_integer(req, NULL, it->told);
    pillion_end(req);
}

static const pillion_method methods[] = {
    {.name = "servers", .handler = servers, PILLION_PARAMS(struct params, rows)},
    {.name = "known", .handler = known, PILLION_PARAMS(struct params, rows)},
    {0},
};

PILLION_MODULE(.name = "services", .version = "1.0.0", .methods = methods, .directives = directives,
               .config_size = sizeof(struct config), .check = check, .start = start,
               .needs = PILLION_NEEDS_NETWORK);
