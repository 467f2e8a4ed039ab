/* NAME=VALUE operands, and the help of a method. See named.h. */
#include "cmd/named.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/printable.h"
#include "wire/json.h"

/* The size of the name that the operand begins with; 0 when it is none of named_is. */
static size_t name_size(const char *operand)
{
    size_t size = strcspn(operand, "=:{}[]\"', \t\r\n");
    const char *behind = operand + size;

    if (size == 0 || strchr("-@0123456789", operand[0]) != NULL)
        return 0;
    return behind[0] == '=' || (behind[0] == ':' && behind[1] == '=') ? size : 0;
}

bool named_is(const char *operand)
{
    return name_size(operand) > 0;
}

static bool is_json(const char *text)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct json_error error;

    return json_check(bytes_of(text), &limits, &error);
}

static const char *type_of(const cJSON *schema)
{
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(schema, "type"));

    return type != NULL ? type : cJSON_HasObjectItem(schema, "enum") ? "string" : "";
}

/* The value as the schema wants it, of a list's item as well. NULL, after saying why. */
static cJSON *value_of(const struct command *self, const char *name, const char *value,
                       const cJSON *schema, bool list)
{
    const char *type = type_of(schema);
    bool number = strcmp(type, "integer") == 0 || strcmp(type, "number") == 0;

    if (number && is_json(value) && strchr("-0123456789", *value) != NULL)
        return cJSON_CreateRaw(value);
    if (number)
        command_failed(self, EXIT_USAGE, "%s is a number: %s=3, and not \"%s\"", name, name, value);
    else if (strcmp(type, "boolean") == 0 &&
             (strcmp(value, "true") == 0 || strcmp(value, "false") == 0))
        return cJSON_CreateRaw(value);
    else if (strcmp(type, "boolean") == 0)
        command_failed(self, EXIT_USAGE, "%s is true or false, and not \"%s\"", name, value);
    else if (strcmp(type, "object") == 0)
        command_failed(self, EXIT_USAGE, "%s is %s '%s:=%s'", name,
                       list ? "a list of objects: give" : "an object: give", name,
                       list ? "[{…}]" : "{…}");
    else
        return type[0] == '\0' && is_json(value) ? cJSON_CreateRaw(value)
                                                 : cJSON_CreateString(value);
    return NULL;
}

/* Adds one operand. 0, or the exit status. */
static int add_operand(const struct command *self, const char *operand, const cJSON *schema,
                       cJSON *object)
{
    size_t size = name_size(operand);
    bool raw = operand[size] == ':';
    const char *value = operand + size + (raw ? 2 : 1);
    char *name = must_strndup(operand, size);
    cJSON *there = cJSON_GetObjectItemCaseSensitive(object, name), *item = NULL;
    const cJSON *wanted = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(schema, "properties"), name);
    bool list = !raw && strcmp(type_of(wanted), "array") == 0;

    if (there != NULL && !(list && cJSON_IsArray(there)))
        command_failed(self, EXIT_USAGE, "%s is given twice", name);
    else if (raw && !is_json(value))
        command_failed(self, EXIT_USAGE, "what follows \"%s:=\" is not JSON", name);
    else if (raw)
        item = cJSON_CreateRaw(value);
    else
        item = value_of(self, name, value,
                        list ? cJSON_GetObjectItemCaseSensitive(wanted, "items") : wanted, list);
    if (item != NULL && list && there == NULL)
        there = cJSON_AddArrayToObject(object, name);
    if (item != NULL && list)
        cJSON_AddItemToArray(there, item);
    else if (item != NULL)
        cJSON_AddItemToObject(object, name, item);
    free(name);
    return item == NULL ? EXIT_USAGE : 0;
}

int named_params(const struct command *self, const char *const *operands, const cJSON *schema,
                 struct text *params)
{
    cJSON *object = cJSON_CreateObject();
    int status = 0;

    for (; status == 0 && *operands != NULL; operands++) {
        status =
            named_is(*operands)
                ? add_operand(self, *operands, schema, object)
                : command_misused(self, "\"%s\" is neither NAME=VALUE nor NAME:=JSON", *operands);
    }
    char *text = cJSON_PrintUnformatted(object);
    text_append_string(params, text == NULL ? "" : text);
    free(text);
    cJSON_Delete(object);
    return status;
}

/* ---- What a method takes ---- */

static void append_string(struct text *out, const cJSON *item)
{
    if (cJSON_IsString(item))
        text_append_line(out, bytes_of(item->valuestring));
}

static void append_json(struct text *out, const char *before, const cJSON *item)
{
    char *text = item == NULL ? NULL : cJSON_PrintUnformatted(item);

    if (text == NULL)
        return;
    text_append_string(out, before);
    text_append_line(out, bytes_of(text));
    free(text);
}

/* " from 1 to 9", " of at most 40 characters", " of at least 1 character". */
static void append_bounds(struct text *out, const cJSON *schema, const char *least,
                          const char *most, const char *before, const char *unit)
{
    const cJSON *low = cJSON_GetObjectItemCaseSensitive(schema, least);
    const cJSON *high = cJSON_GetObjectItemCaseSensitive(schema, most);

    if (low == NULL && high == NULL)
        return;
    if (low != NULL && high != NULL) {
        append_json(out, before, low);
        append_json(out, " to ", high);
    } else {
        append_json(out, low != NULL ? " of at least " : " of at most ", low != NULL ? low : high);
    }
    text_append_string(out, unit);
    if (unit[0] != '\0' && (high != NULL ? high : low)->valuedouble != 1)
        text_append_char(out, 's');
}

static void append_type(struct text *out, const cJSON *schema)
{
    const char *type = type_of(schema);
    const cJSON *words = cJSON_GetObjectItemCaseSensitive(schema, "enum"), *word;

    if (cJSON_IsArray(words)) {
        cJSON_ArrayForEach(word, words)
        {
            text_append_string(out, word == words->child ? "" : " | ");
            append_string(out, word);
        }
    } else if (cJSON_HasObjectItem(schema, "contentEncoding")) {
        append_string(out, cJSON_GetObjectItemCaseSensitive(schema, "contentEncoding"));
    } else {
        text_append_line(out, bytes_of(type[0] == '\0' ? "JSON" : type));
    }
    append_bounds(out, schema, "minimum", "maximum", " from ", "");
    append_bounds(out, schema, "minLength", "maxLength", " of ", " character");
    append_bounds(out, schema, "minItems", "maxItems", " of ", " item");
    if (strcmp(type, "array") == 0) {
        text_append_string(out, ", each ");
        append_type(out, cJSON_GetObjectItemCaseSensitive(schema, "items"));
    }
}

static bool is_required(const cJSON *schema, const char *name)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(schema, "required"))
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, name) == 0)
            return true;
    }
    return false;
}

/* "name=…", "[times=…]", "[raw:=…]". */
static void append_usage(struct text *out, const cJSON *schema, const cJSON *property)
{
    const char *type = type_of(property);
    bool raw =
        strcmp(type, "object") == 0 ||
        (strcmp(type, "array") == 0 &&
         strcmp(type_of(cJSON_GetObjectItemCaseSensitive(property, "items")), "object") == 0);
    bool required = is_required(schema, property->string);

    text_append_string(out, required ? " " : " [");
    text_append_line(out, bytes_of(property->string));
    text_append_string(out, raw ? ":=JSON" : strcmp(type, "array") == 0 ? "=… …" : "=…");
    text_append_string(out, required ? "" : "]");
}

/* Prints the properties of a schema for an object, and of those in it. `before` is what their names
 * begin with: "items[]."; `gives`: they are what a method gives. */
static void print_properties(const cJSON *schema, const char *before, bool gives);

static void print_property(const cJSON *schema, const cJSON *property, const char *before,
                           bool gives)
{
    struct text name = {0}, line = {0};
    const cJSON *summary = cJSON_GetObjectItemCaseSensitive(property, "description");
    bool list = strcmp(type_of(property), "array") == 0;

    text_append_string(&name, before);
    text_append_line(&name, bytes_of(property->string));
    append_type(&line, property);
    if (is_required(schema, property->string) != gives)
        text_append_string(&line, gives ? ", or not there" : ", required");
    append_json(&line, ", default ", cJSON_GetObjectItemCaseSensitive(property, "default"));
    if (cJSON_IsString(summary)) {
        text_append_string(&line, ". ");
        append_string(&line, summary);
    }
    command_print_row(stdout, text_string(&name), text_string(&line));
    text_append_string(&name, list ? "[]." : ".");
    print_properties(list ? cJSON_GetObjectItemCaseSensitive(property, "items") : property,
                     text_string(&name), gives);
    text_free(&name);
    text_free(&line);
}

static void print_properties(const cJSON *schema, const char *before, bool gives)
{
    const cJSON *property;

    cJSON_ArrayForEach(property, cJSON_GetObjectItemCaseSensitive(schema, "properties"))
        print_property(schema, property, before, gives);
}

/* What the method gives, where that is said: the members of its object, or its type. */
static void print_result(const cJSON *schema)
{
    struct text line = {0};

    if (cJSON_HasObjectItem(schema, "properties")) {
        printf("\nIt gives:\n");
        print_properties(schema, "", true);
    } else if (cJSON_HasObjectItem(schema, "type")) {
        append_type(&line, schema);
        printf("\nIt gives: %s\n", text_string(&line));
    }
    text_free(&line);
}

void named_print(const cJSON *description)
{
    const cJSON *schema = cJSON_GetObjectItemCaseSensitive(description, "params"), *property;
    const cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties");
    struct text out = {0};

    append_string(&out, cJSON_GetObjectItemCaseSensitive(description, "summary"));
    if (out.size > 0)
        text_append_string(&out, "\n\n");
    text_append_string(&out, "Usage: pillion call ");
    append_string(&out, cJSON_GetObjectItemCaseSensitive(description, "name"));
    if (!cJSON_IsObject(properties))
        text_append_string(&out, " [PARAMS]");
    cJSON_ArrayForEach(property, properties) append_usage(&out, schema, property);
    printf("%s\n", text_string(&out));
    if (cJSON_IsObject(properties) && properties->child != NULL)
        printf("\n");
    print_properties(schema, "", false);
    if (!cJSON_IsObject(properties) && cJSON_IsObject(schema)) {
        text_clear(&out);
        append_json(&out, "\nPARAMS, by its schema: ", schema);
        printf("%s\n", text_string(&out));
    }
    print_result(cJSON_GetObjectItemCaseSensitive(description, "result"));
    text_free(&out);
}
