/* See fields.h. No field may say where a message ends, or forge another one. */
#include "fields.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- Of requests ---- */

/* Puts a field in front of the others, in the request's memory. False when that ran out. */
static bool add_header(pillion_request *req, const struct curl_slist **headers, const char *name,
                       pillion_bytes value)
{
    size_t size = strlen(name) + value.size + 3;
    struct curl_slist *field = pillion_alloc(req, sizeof(*field));
    char *text = pillion_alloc(req, size);

    if (field == NULL || text == NULL)
        return false;
    snprintf(text, size, "%s: %.*s", name, (int)value.size, value.data);
    *field = (struct curl_slist){text, (struct curl_slist *)*headers};
    *headers = field;
    return true;
}

/* The same for a text, which may be NULL. */
static bool add_text(pillion_request *req, const struct curl_slist **headers, const char *name,
                     const char *text)
{
    return text == NULL || add_header(req, headers, name, (pillion_bytes){text, strlen(text)});
}

/* Where the request stands in its caller's trace is handed on as it came, and what is configured.
 */
bool fields_of(pillion_request *req, const struct fields *fields, const struct curl_slist **headers)
{
    *headers = fields->fixed;
    if (!add_text(req, headers, "traceparent", pillion_traceparent(req)) ||
        !add_text(req, headers, "tracestate", pillion_tracestate(req)))
        return false;
    for (size_t i = 0; i < fields->pass->count; i++) {
        pillion_bytes value = pillion_header(req, fields->pass->items[i]);
        if (value.size > 0 && !add_header(req, headers, fields->pass->items[i], value))
            return false;
    }
    return true;
}

/* ---- The configuration ---- */

/* RFC 9110 section 5.6.2. */
static bool is_token(const char *text, size_t size)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            strchr(others, c) == NULL)
            return false;
    }
    return size > 0;
}

/* Fields that say where the message ends, are the connection's, or are handed on in any case: they
 * are written here. */
static bool is_ours(const char *name, size_t size)
{
    static const char *const ours[] = {
        "connection", "content-length", "content-type", "deadline-ms",
        "expect",     "keep-alive",     "te",           "traceparent",
        "tracestate", "trailer",        "upgrade",      "transfer-encoding",
    };

    for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
        if (strlen(ours[i]) == size && strncasecmp(ours[i], name, size) == 0)
            return true;
    }
    return false;
}

static bool is_value(const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

int fields_check(const struct target *target, pillion_error_text *error)
{
    for (size_t i = 0; i < target->headers.count; i++) {
        const char *field = target->headers.items[i];
        size_t name = strcspn(field, ":");
        if (field[name] != ':' || !is_token(field, name) || !is_value(field + name) ||
            field[name + 1 + strspn(field + name + 1, " \t")] == '\0')
            return pillion_error(error, "`header` takes \"Name: value\", each in quotes");
        if (is_ours(field, name))
            return pillion_error(error, "`header` cannot give \"%.*s\", which is written here",
                                 (int)name, field);
    }
    for (size_t i = 0; i < target->pass.count; i++) {
        const char *name = target->pass.items[i];
        if (!is_token(name, strlen(name)) || strpbrk(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL)
            return pillion_error(error, "`pass_header` takes names in lower case: \"%s\"", name);
        if (is_ours(name, strlen(name)) || strcmp(name, "host") == 0)
            return pillion_error(
                error, "`pass_header` cannot hand \"%s\" on, which is written here", name);
    }
    return 0;
}

static bool append(struct curl_slist **list, const char *field)
{
    struct curl_slist *more = curl_slist_append(*list, field);

    if (more != NULL)
        *list = more;
    return more != NULL;
}

/* Own lists stand in place of the other ones. */
static const pillion_list *own_or(const pillion_list *own, const pillion_list *other)
{
    return own->count > 0 ? own : other;
}

bool fields_make(struct fields *fields, const struct target *own, const struct target *other)
{
    static const char *const fixed[] = {"Content-Type: application/json",
                                        "Accept: application/json", "Expect:"};
    const pillion_list *configured = own_or(&own->headers, &other->headers);
    bool good = true;

    fields->pass = own_or(&own->pass, &other->pass);
    for (size_t i = 0; good && i < sizeof(fixed) / sizeof(*fixed); i++)
        good = append(&fields->fixed, fixed[i]);
    for (size_t i = 0; good && i < configured->count; i++)
        good = append(&fields->fixed, configured->items[i]);
    return good;
}

void fields_free(struct fields *fields)
{
    curl_slist_free_all(fields->fixed);
}
