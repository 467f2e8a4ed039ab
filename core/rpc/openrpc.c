/* Describing methods as OpenRPC does. See openrpc.h. */
#include "rpc/openrpc.h"

#include <string.h>

#include "base/version.h"

/* A name with a schema ("Content Descriptor Object"). */
static cJSON *descriptor(const char *name, const cJSON *schema, bool required)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddStringToObject(item, "name", name);
    if (required)
        cJSON_AddTrueToObject(item, "required");
    cJSON_AddItemToObject(item, "schema",
                          schema == NULL ? cJSON_CreateObject() : cJSON_Duplicate(schema, true));
    return item;
}

static bool is_among(const cJSON *names, const char *name)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, names)
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, name) == 0)
            return true;
    }
    return false;
}

static bool is_object(const cJSON *schema)
{
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(schema, "type");
    return cJSON_IsString(type) && strcmp(type->valuestring, "object") == 0;
}

/* Params are described one by one: the properties of a schema for an object. Of other schemas
 * OpenRPC has no form, so such methods show none. */
static void add_params(cJSON *item, const cJSON *schema)
{
    cJSON *params = cJSON_AddArrayToObject(item, "params");
    const cJSON *required = cJSON_GetObjectItemCaseSensitive(schema, "required"), *property;

    if (!is_object(schema))
        return;
    cJSON_AddStringToObject(item, "paramStructure", "by-name");
    cJSON_ArrayForEach(property, cJSON_GetObjectItemCaseSensitive(schema, "properties"))
    {
        cJSON_AddItemToArray(
            params, descriptor(property->string, property, is_among(required, property->string)));
    }
}

static cJSON *describe(const struct method *method)
{
    cJSON *item = cJSON_CreateObject();
    cJSON *params = method->params_schema == NULL ? NULL : cJSON_Parse(method->params_schema);
    cJSON *result = method->result_schema == NULL ? NULL : cJSON_Parse(method->result_schema);

    cJSON_AddStringToObject(item, "name", method->name.data);
    if (method->summary[0] != '\0')
        cJSON_AddStringToObject(item, "summary", method->summary);
    add_params(item, params);
    cJSON_AddItemToObject(item, "result", descriptor("result", result, false));
    cJSON_Delete(params);
    cJSON_Delete(result);
    return item;
}

/* False when memory ran out for a part of the tree: cJSON leaves such a part out. */
static bool is_whole(const cJSON *document, size_t methods)
{
    return cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(document, "methods")) ==
           (int)methods;
}

static void add_server(cJSON *document, struct bytes host)
{
    struct text url = {0};
    cJSON *server = cJSON_CreateObject();

    text_append_string(&url, "http://");
    text_append(&url, host);
    text_append_string(&url, "/");
    cJSON_AddStringToObject(server, "name", "here");
    cJSON_AddStringToObject(server, "url", text_string(&url));
    cJSON_AddItemToArray(cJSON_AddArrayToObject(document, "servers"), server);
    text_free(&url);
}

cJSON *openrpc_document(const struct introspect *introspect, struct bytes host)
{
    const struct method_table *table = introspect->methods;
    cJSON *document = cJSON_CreateObject();

    cJSON_AddStringToObject(document, "openrpc", "1.2.6");
    cJSON *info = cJSON_AddObjectToObject(document, "info");
    cJSON_AddStringToObject(info, "title", "Pillion");
    cJSON_AddStringToObject(info, "version", PILLION_VERSION);
    if (host.data != NULL)
        add_server(document, host);
    cJSON *methods = cJSON_AddArrayToObject(document, "methods");
    for (size_t i = 0; i < table->count; i++)
        cJSON_AddItemToArray(methods, describe(&table->methods[i]));
    if (is_whole(document, table->count))
        return document;
    cJSON_Delete(document);
    return NULL;
}
