/* Enforcing what methods declare. See validate.h. */
#include "rpc/validate.h"

#include <stdio.h>

#include "base/log_seldom.h"
#include "rpc/fault_reply.h"
#include "rpc/param_read.h"
#include "rpc/schema_check.h"

bool validate_params(struct pillion_request *req)
{
    const struct method *method = req->method;
    struct faults faults = {.pool = req->pool};

    if (method->params_rule != NULL) {
        /* Who needs no params may leave them out: they are an object all the same. */
        if (*req->params.data == 'n' && schema_wants_object(method->params_rule))
            req->params = BYTES("{}");
        schema_check(method->params_rule, req->params, "params", &faults);
        if (faults.count > 0 || faults.exhausted) {
            fault_refuse(req, &faults);
            return false;
        }
    }
    return method->args == NULL || param_read(req);
}

/* Writes the fault as the end of a message. */
static void describe(const struct faults *faults, char *to, size_t size)
{
    if (faults->exhausted)
        snprintf(to, size, "there is no memory to check it");
    else
        snprintf(to, size, "%s: %s", faults->of[0]->path, faults->of[0]->text);
}

__attribute__((noinline)) bool validate_result_by(struct pillion_request *req, struct bytes result)
{
    struct faults faults = {.pool = req->pool};
    char wrong[FAULT_PATH_MAX + FAULT_TEXT_MAX + 4];

    schema_check(req->method->result_rule, result, "result", &faults);
    if (faults.count == 0 && !faults.exhausted)
        return true;
    describe(&faults, wrong, sizeof(wrong));
    log_seldom(LOG_ERROR_LEVEL, req->method,
               "module %s: \"%s\" replied with another result than it declares: %s",
               req->method->instance->name, req->method->own_name, wrong);
    request_fail(req, PILLION_INTERNAL_ERROR,
                 "\"%s\" replied with another result than it declares (module %s): %s",
                 req->method->own_name, req->method->instance->name, wrong);
    return false;
}
