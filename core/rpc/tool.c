/* Methods as tools. See tool.h. */
#include "rpc/tool.h"

#include <string.h>

#include "base/json_escape.h"
#include "wire/envelope.h"

#define TOOL_NAME_MAX 128u

bool tool_name_is_valid(struct bytes name)
{
    static const char marks[] = "_.-";

    if (name.size == 0 || name.size > TOOL_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i], letter = (char)(c | 0x20);
        if (!(c >= '0' && c <= '9') && !(letter >= 'a' && letter <= 'z') &&
            memchr(marks, c, sizeof(marks) - 1) == NULL)
            return false;
    }
    return true;
}

static bool is_of_objects(const char *schema)
{
    return schema != NULL &&
           bytes_equal(envelope_member(bytes_of(schema), BYTES("type")), BYTES("\"object\""));
}

bool tool_is_declared(const struct method *method)
{
    return tool_name_is_valid(method->name) && is_of_objects(method->params_schema);
}

/* What a model reads to choose a tool. */
static void append_description(struct text *out, const struct method *method)
{
    text_append_string(out, ",\"description\":\"");
    if (*method->summary != '\0') {
        text_append_json(out, bytes_of(method->summary));
    } else {
        text_append_string(out, "The method ");
        text_append_json(out, bytes_of(method->own_name));
        text_append_string(out, " of the module ");
        text_append_json(out, bytes_of(method->instance->name));
        text_append_char(out, '.');
    }
    text_append_char(out, '"');
}

/* A client may ask its user before it calls what could destroy something. So that is what a method
 * does that says nothing of it. */
static void append_hints(struct text *out, const struct method *method)
{
    const struct {
        const char *name;
        bool value;
    } hints[] = {
        {"readOnlyHint", method->read_only},
        {"destructiveHint", !method->read_only && !method->additive},
        {"idempotentHint", method->read_only || method->idempotent},
    };

    text_append_string(out, ",\"annotations\":{");
    for (size_t i = 0; i < sizeof(hints) / sizeof(*hints); i++)
        text_printf(out, "%s\"%s\":%s", i == 0 ? "" : ",", hints[i].name,
                    hints[i].value ? "true" : "false");
    text_append_char(out, '}');
}

/* Clients compare a result with the schema; before revision 2026-07-28 only objects have one. */
static void append_tool(struct text *out, const struct method *method)
{
    bool described = is_of_objects(method->params_schema);

    text_append_string(out, "{\"name\":\"");
    text_append(out, method->name);
    if (method->title != NULL) {
        text_append_string(out, "\",\"title\":\"");
        text_append_json(out, bytes_of(method->title));
    }
    text_append_char(out, '"');
    append_description(out, method);
    text_append_string(out, ",\"inputSchema\":");
    text_append_string(out, described ? method->params_schema : "{\"type\":\"object\"}");
    if (is_of_objects(method->result_schema)) {
        text_append_string(out, ",\"outputSchema\":");
        text_append_string(out, method->result_schema);
    }
    append_hints(out, method);
    text_append_char(out, '}');
}

void tool_list(const struct method_table *table, struct text *out)
{
    const char *between = "[";

    for (size_t i = 0; i < table->count; i++) {
        if (!table->methods[i].tool)
            continue;
        text_append_string(out, between);
        append_tool(out, &table->methods[i]);
        between = ",";
    }
    text_append_string(out, *between == '[' ? "[]" : "]");
}
