/* The schemas of a module's methods. See method_schema.h. */
#include "module/method_schema.h"

#include "rpc/schema.h"

static bool check(const pillion_method *method, const char *member, const char *text,
                  unsigned abi_minor, struct text *advice, struct error *error)
{
    struct schema *schema = text == NULL ? NULL : schema_make(bytes_of(text), error);

    if (schema != NULL || text == NULL) {
        schema_free(schema);
        return true;
    }
    error_prefix(error, "the .%s of the method \"%s\" is no schema that can be enforced", member,
                 method->name);
    if (abi_minor >= SCHEMA_MINOR)
        return false;
    text_printf(advice, "%s; it is only shown, as the module API %u.%u has it\n", error->text,
                PILLION_ABI_MAJOR, abi_minor);
    error->text[0] = '\0';
    return true;
}

bool method_schemas_check(const pillion_module *module, unsigned abi_minor, struct text *advice,
                          struct error *error)
{
    error->text[0] = '\0';
    for (const pillion_method *m = module->methods; m->name != NULL; m++) {
        if (!check(m, "params", m->params, abi_minor, advice, error) ||
            !check(m, "result", m->result, abi_minor, advice, error))
            return false;
    }
    return true;
}
