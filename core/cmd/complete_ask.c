/* Asking for what a line may be completed with. See complete_ask.h.
 *
 * Called with standard error closed to messages and a limit on the whole process's time
 * (complete.c). */
#include "cmd/complete_ask.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_escape.h"
#include "cmd/client.h"
#include "cmd/describe.h"
#include "cmd/params.h"
#include "cmd/prefix.h"
#include "cmd/reply_text.h"
#include "cmd/signal.h"
#include "cmd/target.h"
#include "master/control.h"

#define ANSWER_MS 500 /* leaves time to ask elsewhere */

/* The result of the call, or NULL. */
static cJSON *ask(const struct complete_target *target, const char *method,
                  const struct text *params)
{
    char server[TARGET_SIZE];
    struct dialect dialect = target->dialect;
    struct client client = {
        .server = server, .timeout_ms = ANSWER_MS, .dialect = &dialect, .contact = {.fd = -1}};
    struct text request = {0}, reply = {0};
    struct bytes result;
    struct error error;
    cJSON *found = NULL;
    bool failed = true;

    if (dialect_target(target->command, &dialect, target->server, server) != 0)
        return NULL;
    params_request(method, params, target->members, target->dialect.jsonrpc, &request);
    bool good =
        client_exchange(&client, (struct bytes){request.data, request.size}, &reply, &error) &&
        reply_text_read(target->command, server, (struct bytes){text_string(&reply), reply.size},
                        &failed, &result) == 0;
    if (good && !failed)
        found = cJSON_ParseWithLength(result.data, result.size);
    client_close(&client);
    text_free(&request);
    text_free(&reply);
    return found;
}

static void add_method(cJSON *list, const char *name, const char *summary)
{
    cJSON *method = cJSON_CreateObject();

    cJSON_AddStringToObject(method, "name", name);
    if (summary != NULL)
        cJSON_AddStringToObject(method, "summary", summary);
    cJSON_AddItemToArray(list, method);
}

/* The names that the server counts calls by, where its control socket may be asked. */
static cJSON *ask_control(const struct command *command)
{
    char prefix[PATH_MAX];
    struct text shown = {0};
    const cJSON *method;

    if (!prefix_find(command, NULL, prefix))
        return NULL;
    const struct serve_options options = {.conf = prefix_conf(prefix), .prefix = prefix};
    cJSON *stats = signal_ask(command, &options, CONTROL_STATS, &shown)
                       ? cJSON_Parse(text_string(&shown))
                       : NULL;
    cJSON *list = cJSON_CreateArray();
    cJSON_ArrayForEach(method, cJSON_GetObjectItemCaseSensitive(stats, "methods"))
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(method, "name"));
        if (name != NULL || method->string != NULL)
            add_method(list, name != NULL ? name : method->string, NULL);
    }
    cJSON_Delete(stats);
    text_free(&shown);
    return list;
}

cJSON *complete_ask_methods(const struct complete_target *target)
{
    struct text params = {0};
    bool elsewhere =
        target->server != NULL || target->dialect.url != NULL || getenv(TARGET_VARIABLE) != NULL;

    text_append_string(&params, "null");
    cJSON *methods = ask(target, "rpc.list", &params);
    text_free(&params);
    return methods != NULL || elsewhere ? methods : ask_control(target->command);
}

cJSON *complete_ask_params(const struct complete_target *target, const char *method)
{
    struct text params = {0};

    text_append_string(&params, "{\"method\": \"");
    text_append_json(&params, bytes_of(method));
    text_append_string(&params, "\"}");
    cJSON *description = ask(target, "rpc.describe", &params);
    cJSON *schema = cJSON_DetachItemFromObjectCaseSensitive(description, "params");
    cJSON_Delete(description);
    text_free(&params);
    return schema;
}

cJSON *complete_read_methods(const char *file)
{
    struct manifest manifest;
    struct error error;

    if (!describe_read(file, &manifest, &error))
        return NULL;
    cJSON *list = cJSON_CreateArray();
    for (const pillion_method *m = manifest.descriptor.methods; m->name != NULL; m++)
        add_method(list, m->name, m->summary);
    manifest_close(&manifest);
    return list;
}

cJSON *complete_read_params(const char *file, const char *method)
{
    struct manifest manifest;
    struct error error;
    cJSON *schema = NULL;

    if (!describe_read(file, &manifest, &error))
        return NULL;
    for (const pillion_method *m = manifest.descriptor.methods; m->name != NULL; m++) {
        if (strcmp(m->name, method) == 0 && m->params != NULL)
            schema = cJSON_Parse(m->params);
    }
    manifest_close(&manifest);
    return schema;
}
