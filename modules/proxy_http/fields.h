/* Header fields of requests to upstreams: those that are configured, and those of the client's own
 * request that are handed on. */
#ifndef PROXY_HTTP_FIELDS_H
#define PROXY_HTTP_FIELDS_H

#include <curl/curl.h>

#include "settings.h"

/* Of a method. Starts as `{0}`. */
struct fields {
    struct curl_slist *fixed; /* the same for each request */
    const pillion_list *pass; /* names of those that are handed on */
};

/* Checks what is configured. Returns 0, or as pillion_error. */
int fields_check(const struct target *target, pillion_error_text *error);

/* False when memory ran out; fields_free is to be called in any case. `own` is the method's, in
 * place of `other`. */
bool fields_make(struct fields *fields, const struct target *own, const struct target *other);
void fields_free(struct fields *fields);

/* Gives all fields of a request, in its memory. False when that ran out. */
bool fields_of(pillion_request *req, const struct fields *fields,
               const struct curl_slist **headers);

#endif
