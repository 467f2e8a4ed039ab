/* Finding a request's trace. See trace.h. */
#include "rpc/trace.h"

#include <string.h>

#include "wire/http.h"

static const struct bytes nothing = {NULL, 0};

/* The member `name` of the message, as JSON. */
static struct bytes find_member(const struct pillion_request *req, struct bytes name)
{
    struct bytes at = req->body;

    if (req->format == ENVELOPE_BARE) /* whose body is its params */
        return nothing;
    /* A look at the bytes is much less than reading them as JSON. No client spells it with
     * escapes. */
    if (memmem(at.data, at.size, name.data, name.size) == NULL)
        return nothing;
    if (req->format == ENVELOPE_TOOL || req->format == ENVELOPE_TOOL_LEGACY) {
        at = envelope_member(at, BYTES("params"));
        if (at.data != NULL && *at.data == '{')
            at = envelope_member(at, BYTES("_meta"));
        if (at.data == NULL || *at.data != '{')
            return nothing;
    }
    return envelope_member(at, name);
}

/* Copies the text that is this member; false when it is no string, or too long. */
static bool copy_member(const struct pillion_request *req, const char *name, char *to, size_t room,
                        size_t *size)
{
    struct bytes value = find_member(req, bytes_of(name));
    long length = value.data == NULL || *value.data != '"' ? -1 : json_string_text(value, to, room);

    *size = length < 0 ? 0 : (size_t)length;
    return length >= 0;
}

/* Copies the header fields of this name that have room as one list. Returns how many there are. */
static unsigned copy_fields(struct bytes fields, const char *wanted, char *to, size_t room,
                            size_t *size)
{
    struct bytes name, value;
    unsigned count = 0;

    *size = 0;
    while (http_field(&fields, &name, &value)) {
        if (!http_is(name, wanted))
            continue;
        count++;
        if (*size + value.size + 1 > room)
            continue;
        if (*size > 0)
            to[(*size)++] = ',';
        memcpy(to + *size, value.data, value.size);
        *size += value.size;
    }
    return count;
}

bool trace_parent(const struct pillion_request *req, char to[TRACEPARENT_SIZE + 1])
{
    char text[4 * TRACEPARENT_SIZE];
    size_t size;

    if (copy_member(req, "traceparent", text, sizeof(text), &size) &&
        traceparent_read((struct bytes){text, size}, to))
        return true;
    /* Two are two opinions. */
    return copy_fields(req->head, "traceparent", text, sizeof(text), &size) == 1 &&
           traceparent_read((struct bytes){text, size}, to);
}

static bool is_printable(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    }
    return size > 0;
}

const char *trace_state(const struct pillion_request *req)
{
    char parent[TRACEPARENT_SIZE + 1], text[TRACE_STATE_MAX];
    size_t size;

    if (!trace_parent(req, parent))
        return NULL;
    if (!copy_member(req, "tracestate", text, sizeof(text), &size))
        copy_fields(req->head, "tracestate", text, sizeof(text), &size);
    char *copy = is_printable(text, size) ? pool_alloc(req->pool, size + 1) : NULL;
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}
