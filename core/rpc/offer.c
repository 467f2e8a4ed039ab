/* Methods for a registry. See offer.h. */
#include "rpc/offer.h"

#include <cjson/cJSON.h>

static void add_words(cJSON *item, const char *name, const char *words)
{
    if (words != NULL && words[0] != '\0')
        cJSON_AddStringToObject(item, name, words);
}

static void add_schema(cJSON *item, const char *name, const char *schema)
{
    cJSON *tree = schema == NULL ? NULL : cJSON_Parse(schema);

    if (tree != NULL)
        cJSON_AddItemToObject(item, name, tree);
}

static void add_flag(cJSON *item, const char *name, bool is)
{
    if (is)
        cJSON_AddTrueToObject(item, name);
}

/* The method as text, which cJSON_free frees; NULL without memory. */
static char *describe(const struct method *method, bool schemas)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddStringToObject(item, "name", method->name.data);
    add_words(item, "summary", method->summary);
    add_words(item, "title", method->title);
    add_schema(item, "params", schemas ? method->params_schema : NULL);
    add_schema(item, "result", schemas ? method->result_schema : NULL);
    add_flag(item, "idempotent", method->idempotent);
    add_flag(item, "read_only", method->read_only);
    add_flag(item, "additive", method->additive);
    char *text = cJSON_PrintUnformatted(item);
    cJSON_Delete(item);
    return text;
}

/* False when there is no room for a method, which is left out then. */
static bool write_all(const struct method_table *table, bool schemas, size_t most, struct text *out)
{
    size_t begin = out->size;
    bool whole = true;

    text_append_char(out, '[');
    for (size_t i = 0; i < table->count; i++) {
        if (table->methods[i].found) /* another server has it, and tells of it */
            continue;
        char *text = describe(&table->methods[i], schemas);
        size_t size = text == NULL ? 0 : strlen(text);
        bool fits = text != NULL && out->size - begin + size + 2 <= most;
        if (fits) {
            text_append_string(out, out->size - begin > 1 ? "," : "");
            text_append(out, (struct bytes){text, size});
        }
        whole = whole && fits;
        cJSON_free(text);
    }
    text_append_char(out, ']');
    return whole;
}

bool offer_write(const struct method_table *table, size_t most, struct text *out)
{
    struct text whole = {0};
    bool fits = write_all(table, true, most, &whole);

    if (!fits) {
        text_free(&whole);
        write_all(table, false, most, &whole);
    }
    text_append(out, (struct bytes){whole.data, whole.size});
    text_free(&whole);
    return fits;
}
