/* Telling a client what is wrong with its params. See fault_reply.h. */
#include "rpc/fault_reply.h"

#include <stdio.h>

/* Writes `text`, which may be shown, as the inside of a JSON string. */
static char *put_json(char *to, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            *to++ = '\\';
        *to++ = *text;
    }
    return to;
}

static char *put_faults(char *to, const struct faults *faults)
{
    size_t kept = faults->count < FAULTS_MAX ? faults->count : FAULTS_MAX;

    to = stpcpy(to, "{\"code\":\"" PILLION_INVALID_PARAMS "\",\"message\":\"");
    for (size_t i = 0; i < kept; i++) {
        to = put_json(stpcpy(to, i == 0 ? "" : "; "), faults->of[i]->path);
        to = put_json(stpcpy(to, ": "), faults->of[i]->text);
    }
    if (faults->count > kept)
        to += sprintf(to, "; and %zu more", faults->count - kept);
    to = stpcpy(to, "\",\"errors\":[");
    for (size_t i = 0; i < kept; i++) {
        to = put_json(stpcpy(to, i == 0 ? "{\"path\":\"" : ",{\"path\":\""), faults->of[i]->path);
        to = put_json(stpcpy(to, "\",\"message\":\""), faults->of[i]->text);
        to = stpcpy(to, "\"}");
    }
    return stpcpy(to, "]}");
}

__attribute__((cold)) void fault_refuse(struct pillion_request *req, const struct faults *faults)
{
    const size_t room = 256 + FAULTS_MAX * (4 * sizeof(struct fault) + 32);
    char *result = faults->exhausted ? NULL : pool_alloc(req->pool, room);

    if (result == NULL) {
        request_fail(req, PILLION_OVERLOADED, "there is no memory for the request's params");
        return;
    }
    size_t size = (size_t)(put_faults(result, faults) - result);
    request_fail_raw(req, PILLION_INVALID_PARAMS, (struct bytes){result, size});
}
