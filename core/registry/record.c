/* Records: written, and read with suspicion. See record.h. */
#include "registry/record.h"

#include <stdlib.h>

#include "base/json_escape.h"
#include "base/memory.h"
#include "base/version.h"
#include "net/address.h"
#include "wire/json.h"

static bool is_json_array(const char *text)
{
    const struct json_limits limits = {.depth = RECORD_DEPTH_MAX, .values = UINT32_MAX};
    struct json_error error;

    return text[0] == '[' && json_check(bytes_of(text), &limits, &error);
}

static void member(struct text *out, const char *name, const char *value)
{
    text_printf(out, "\"%s\":\"", name);
    text_append_json(out, bytes_of(value));
    text_append_string(out, "\",");
}

void record_write(const struct registry_offer *offer, struct text *out)
{
    text_append_char(out, '{');
    member(out, "address", offer->address);
    if (is_json_array(offer->methods))
        text_printf(out, "\"methods\":%s,", offer->methods);
    text_printf(out, "\"generation\":%llu,", (unsigned long long)offer->generation);
    member(out, "version", PILLION_VERSION);
    text_printf(out, "\"weight\":%u,", offer->weight);
    text_printf(out, "\"started\":\"%s\"}", offer->started);
}

/* ---- Reading ---- */

/* The record's address, as others can call it, and as its key ends. NULL with the reason. */
static const char *read_address(const cJSON *object, struct bytes key, struct error *error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "address");

    if (!cJSON_IsString(item)) {
        error_set(error, "it has no \"address\"");
        return NULL;
    }
    size_t size = strlen(item->valuestring);
    if (!address_is_whole(item->valuestring)) {
        error_set(error, "its \"address\" is none that can be called");
        return NULL;
    }
    if (key.size < size + 2 || key.data[key.size - size - 1] != '/' ||
        memcmp(key.data + key.size - size, item->valuestring, size) != 0) {
        error_set(error, "its \"address\" is not the one that its key ends with");
        return NULL;
    }
    return item->valuestring;
}

static bool read_weight(const cJSON *object, uint32_t *weight, struct error *error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "weight");

    *weight = RECORD_WEIGHT;
    if (item == NULL)
        return true;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 1) ||
        item->valuedouble > RECORD_WEIGHT_MAX || item->valuedouble != item->valueint)
        return error_set(error, "its \"weight\" is no number from 1 to %u", RECORD_WEIGHT_MAX);
    *weight = (uint32_t)item->valueint;
    return true;
}

static bool read_methods(cJSON *object, cJSON **methods, struct error *error)
{
    *methods = cJSON_GetObjectItemCaseSensitive(object, "methods");
    if (*methods == NULL)
        return true;
    if (!cJSON_IsArray(*methods) || cJSON_GetArraySize(*methods) > (int)RECORD_METHODS_MAX)
        return error_set(error, "its \"methods\" are no list of at most %u", RECORD_METHODS_MAX);
    return true;
}

static bool read_object(cJSON *object, struct bytes key, struct record *record, struct error *error)
{
    if (!cJSON_IsObject(object))
        return error_set(error, "it is no JSON object");
    const char *address = read_address(object, key, error);
    if (address == NULL || !read_weight(object, &record->weight, error) ||
        !read_methods(object, &record->methods, error))
        return false;
    record->address = must_strdup(address);
    if (record->methods != NULL)
        cJSON_DetachItemViaPointer(object, record->methods);
    return true;
}

bool record_read(struct bytes key, struct bytes value, struct record *record, struct error *error)
{
    const struct json_limits limits = {.depth = RECORD_DEPTH_MAX, .values = 1u << 17};
    struct json_error wrong;

    *record = (struct record){0};
    if (value.size > RECORD_MAX)
        return error_set(error, "it has %zu bytes, and may have %u", value.size, RECORD_MAX);
    if (!json_check(value, &limits, &wrong))
        return error_set(error, "it is no JSON: %s, at byte %zu", wrong.reason, wrong.offset);
    if (json_has_nul(value))
        return error_set(error, "it has a \\u0000");
    cJSON *object = cJSON_ParseWithLength(value.data, value.size);
    bool good = read_object(object, key, record, error);
    cJSON_Delete(object);
    return good;
}

void record_free(struct record *record)
{
    free(record->address);
    cJSON_Delete(record->methods);
    *record = (struct record){0};
}
