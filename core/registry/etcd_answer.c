/* See etcd_answer.h. */
#include "registry/etcd_answer.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "wire/base64.h"
#include "wire/json.h"

#define DEPTH_MAX   12u
#define STRANGE_MAX 120u /* bytes that are shown of an answer that is no JSON */

/* What etcd says, and what it means: rpctypes/error.go. The first one that the text holds counts;
 * all others are by their code. */
static const struct {
    const char *text;
    enum etcd_verdict verdict;
} meanings[] = {
    {"requested lease not found", ETCD_NO_LEASE},
    {"required revision has been compacted", ETCD_COMPACTED},
    {"required revision is a future revision", ETCD_COMPACTED},
    {"invalid auth token", ETCD_NO_TOKEN},
    {"user name is empty", ETCD_NO_TOKEN},
    {"revision of auth store is old", ETCD_NO_TOKEN},
    {"revision in header is old", ETCD_NO_TOKEN},
    {"authentication is not enabled", ETCD_NO_AUTH},
    {"not capable", ETCD_ELSEWHERE},
    {"learner", ETCD_ELSEWHERE},
    {"too many requests", ETCD_ELSEWHERE},
};

/* Codes of gRPC (google.golang.org/grpc/codes) with which another member may do better: cancelled,
 * unknown, deadline exceeded, aborted, internal, unavailable, data loss. */
static bool code_is_of_member(int code)
{
    return code == 1 || code == 2 || code == 4 || code == 10 || (code >= 13 && code <= 15);
}

static bool elsewhere(struct etcd_answer *answer, const char *text)
{
    answer->verdict = ETCD_ELSEWHERE;
    snprintf(answer->text, sizeof(answer->text), "%s", text);
    return false;
}

/* ---- Members ---- */

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* A 64-bit number, which is a string; small ones may be numbers. False when it is neither. One that
 * is missing is 0. */
static bool number(const cJSON *object, const char *name, int64_t *value)
{
    const cJSON *item = member(object, name);
    char *end;

    *value = 0;
    if (item == NULL)
        return true;
    if (cJSON_IsNumber(item) && item->valuedouble == (double)item->valueint) {
        *value = item->valueint;
        return true;
    }
    if (!cJSON_IsString(item) || item->valuestring[0] == '\0' || item->valuestring[0] == ' ')
        return false;
    errno = 0;
    *value = strtoll(item->valuestring, &end, 10);
    return errno == 0 && *end == '\0';
}

/* A revision: there is always a next one. */
static bool revision(const cJSON *object, const char *name, int64_t *value)
{
    return number(object, name, value) && *value >= 0 && *value < INT64_MAX;
}

static bool unsigned_number(const cJSON *object, const char *name, uint64_t *value)
{
    const cJSON *item = member(object, name);
    char *end;

    *value = 0;
    if (item == NULL)
        return true;
    if (!cJSON_IsString(item) || item->valuestring[0] < '0' || item->valuestring[0] > '9')
        return false;
    errno = 0;
    *value = strtoull(item->valuestring, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool flag(const cJSON *object, const char *name, bool *value)
{
    const cJSON *item = member(object, name);

    *value = cJSON_IsTrue(item);
    return item == NULL || cJSON_IsBool(item);
}

/* Decodes base64 where it is. */
static bool decoded(const cJSON *item, struct bytes *bytes)
{
    if (!cJSON_IsString(item))
        return false;
    long size = base64_decode(bytes_of(item->valuestring), item->valuestring);
    *bytes = (struct bytes){item->valuestring, size < 0 ? 0 : (size_t)size};
    return size >= 0;
}

static bool byte_member(const cJSON *object, const char *name, struct bytes *bytes)
{
    const cJSON *item = member(object, name);

    *bytes = (struct bytes){"", 0};
    return item == NULL || decoded(item, bytes);
}

/* ---- Parts of answers ---- */

static bool read_row(const cJSON *row, struct etcd_change *change)
{
    return cJSON_IsObject(row) && byte_member(row, "key", &change->key) && change->key.size > 0 &&
           byte_member(row, "value", &change->value) && number(row, "lease", &change->lease) &&
           revision(row, "mod_revision", &change->revision) &&
           revision(row, "create_revision", &change->created);
}

static bool read_event(const cJSON *event, struct etcd_change *change)
{
    const cJSON *type = member(event, "type");

    if (type != NULL && !cJSON_IsString(type))
        return false;
    change->gone = type != NULL && strcmp(type->valuestring, "DELETE") == 0;
    if (type != NULL && !change->gone && strcmp(type->valuestring, "PUT") != 0)
        return false;
    return read_row(member(event, "kv"), change);
}

static bool read_changes(struct etcd_answer *answer, const cJSON *array,
                         bool (*read)(const cJSON *item, struct etcd_change *change))
{
    const cJSON *item;

    if (array == NULL)
        return true;
    if (!cJSON_IsArray(array) || answer->changes != NULL)
        return false;
    answer->changes = calloc((size_t)cJSON_GetArraySize(array) + 1, sizeof(*answer->changes));
    if (answer->changes == NULL)
        return false;
    cJSON_ArrayForEach(item, array)
    {
        if (!read(item, &answer->changes[answer->change_count]))
            return false;
        answer->change_count++;
    }
    return true;
}

static bool read_keys(struct etcd_answer *answer, const cJSON *array)
{
    const cJSON *item;

    if (array == NULL)
        return true;
    if (!cJSON_IsArray(array))
        return false;
    answer->keys = calloc((size_t)cJSON_GetArraySize(array) + 1, sizeof(*answer->keys));
    if (answer->keys == NULL)
        return false;
    cJSON_ArrayForEach(item, array)
    {
        if (!decoded(item, &answer->keys[answer->key_count++]))
            return false;
    }
    return true;
}

static bool read_header(struct etcd_answer *answer, const cJSON *result)
{
    const cJSON *header = member(result, "header");

    return header == NULL ||
           (cJSON_IsObject(header) && unsigned_number(header, "cluster_id", &answer->cluster) &&
            revision(header, "revision", &answer->revision));
}

static bool read_token(struct etcd_answer *answer, const cJSON *result)
{
    const cJSON *token = member(result, "token");

    if (token == NULL)
        return true;
    if (!cJSON_IsString(token))
        return false;
    /* It becomes a header. */
    for (const char *c = token->valuestring; *c != '\0'; c++) {
        if (*c < '!' || *c > '~')
            return false;
    }
    answer->token = token->valuestring;
    return true;
}

static bool read_result(struct etcd_answer *answer, const cJSON *result)
{
    const cJSON *reason = member(result, "cancel_reason");

    if (cJSON_IsString(reason))
        snprintf(answer->text, sizeof(answer->text), "%s", reason->valuestring);
    return read_header(answer, result) && read_changes(answer, member(result, "kvs"), read_row) &&
           read_changes(answer, member(result, "events"), read_event) &&
           read_keys(answer, member(result, "keys")) && read_token(answer, result) &&
           number(result, "count", &answer->count) && number(result, "ID", &answer->lease) &&
           number(result, "TTL", &answer->ttl) &&
           revision(result, "compact_revision", &answer->compacted) &&
           flag(result, "more", &answer->more) && flag(result, "succeeded", &answer->succeeded) &&
           flag(result, "created", &answer->created) &&
           flag(result, "canceled", &answer->canceled) &&
           flag(result, "fragment", &answer->fragment);
}

/* ---- Errors ---- */

/* {"error":"TEXT","code":N}, or in a stream {"error":{"message":"TEXT","grpc_code":N}}. */
static bool read_error(struct etcd_answer *answer, const cJSON *root, const cJSON *error)
{
    bool inner = cJSON_IsObject(error);
    const cJSON *text = inner ? member(error, "message") : error;
    const cJSON *code = inner ? member(error, "grpc_code") : member(root, "code");

    if (inner && code == NULL)
        code = member(error, "code");
    if (!cJSON_IsString(text))
        return elsewhere(answer, "an error without a text");
    snprintf(answer->text, sizeof(answer->text), "%s", text->valuestring);
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (strstr(answer->text, meanings[i].text) != NULL) {
            answer->verdict = meanings[i].verdict;
            return false;
        }
    }
    answer->verdict =
        !cJSON_IsNumber(code) || code_is_of_member(code->valueint) ? ETCD_ELSEWHERE : ETCD_REFUSED;
    return false;
}

/* An answer that is no JSON. Proxies, and etcd before it looks at a request (a client's certificate
 * with a common name, where users have passwords), say in plain text what is wrong. */
static bool strange(struct etcd_answer *answer, struct bytes text, int status)
{
    struct text shown = {0};
    struct bytes line = {text.data, 0};

    while (line.size < text.size && line.size < STRANGE_MAX && text.data[line.size] != '\n' &&
           text.data[line.size] != '\r')
        line.size++;
    text_append_line(&shown, line);
    elsewhere(answer, "");
    snprintf(answer->text, sizeof(answer->text),
             "an answer that is none of etcd's (status %d, %zu bytes%s%s)", status, text.size,
             shown.size == 0 ? "" : ": ", text_string(&shown));
    text_free(&shown);
    return false;
}

bool etcd_answer_read(struct etcd_answer *answer, struct bytes text, int status)
{
    struct json_limits limits = {DEPTH_MAX, (uint32_t)(text.size / 2 + 8)};
    struct json_error where;

    *answer = (struct etcd_answer){.verdict = ETCD_FINE};
    if (!json_check(text, &limits, &where) || json_has_nul(text))
        return strange(answer, text, status);
    answer->root = cJSON_ParseWithLength(text.data, text.size);
    if (answer->root == NULL)
        return elsewhere(answer, "out of memory for an answer");
    const cJSON *error = member(answer->root, "error");
    if (error != NULL)
        return read_error(answer, answer->root, error);
    const cJSON *result = member(answer->root, "result");
    if (result == NULL)
        result = answer->root;
    if (status != 200 || !cJSON_IsObject(result) || !read_result(answer, result)) {
        elsewhere(answer, "");
        snprintf(answer->text, sizeof(answer->text),
                 "an answer that makes no sense (status %d, %zu bytes)", status, text.size);
    }
    return answer->verdict == ETCD_FINE;
}

void etcd_answer_free(struct etcd_answer *answer)
{
    free(answer->changes);
    free(answer->keys);
    cJSON_Delete(answer->root);
    *answer = (struct etcd_answer){0};
}
