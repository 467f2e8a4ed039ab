/* The strict pass and the envelope: they agree with each other, at any limits; an accepted text
 * that is cut off goes wrong at its end; spans are JSON of the right kind; and whatever came in,
 * the reply to it is JSON, in its format. A batch is its elements, one after the other. */
#include "fuzz.h"

#include "wire/protocol.h"

static const struct json_limits wide = {JSON_DEPTH_MAX, UINT32_MAX};

static bool is_inside(struct bytes span, struct bytes whole)
{
    return span.data >= whole.data && span.data + span.size <= whole.data + whole.size;
}

static void require_value(struct bytes span)
{
    struct json_error error;

    require(span.size > 0 && json_check(span, &wide, &error));
    require(strchr(" \t\r\n", span.data[0]) == NULL);
    require(strchr(" \t\r\n", span.data[span.size - 1]) == NULL);
}

static void require_text(struct bytes text)
{
    for (size_t i = 0, size; i < text.size; i += size) {
        size = utf8_sequence(text.data + i, text.size - i);
        require(size > 0 && text.data[i] != '\0');
    }
}

static void require_envelope(struct bytes body, enum envelope_status status,
                             const struct envelope *envelope)
{
    if (envelope->id.data != NULL) {
        require(is_inside(envelope->id, body));
        require_value(envelope->id);
        require(strchr("{[tf", envelope->id.data[0]) == NULL);
    }
    require(status != ENVELOPE_NOT_JSON || envelope->in.data == NULL);
    require(status != ENVELOPE_BATCH || envelope->in.data == NULL);
    require(envelope->format == ENVELOPE_PILLION || envelope->format == ENVELOPE_JSONRPC);
    require(envelope->notifies == (status == ENVELOPE_OK && envelope->id.data == NULL &&
                                   envelope->format == ENVELOPE_JSONRPC));
    if (envelope->in.data != NULL) {
        require(envelope->in.size <= METHOD_NAME_MAX);
        require(is_inside(envelope->in, body) ||
                is_inside(envelope->in, (struct bytes){envelope->in_buffer, METHOD_NAME_MAX}));
        require_text(envelope->in);
    }
    if (status != ENVELOPE_OK) {
        require(envelope->params.data == NULL);
        return;
    }
    require(envelope->in.data != NULL);
    require_value(envelope->params);
    require(is_inside(envelope->params, body) || bytes_equal(envelope->params, BYTES("null")));
}

/* Both functions on `body`: same verdict, same error. */
static enum envelope_status read_both(struct bytes body, const struct json_limits *limits,
                                      struct envelope *envelope, struct json_error *error)
{
    struct json_error checked;
    bool ok = json_check(body, limits, &checked);
    enum envelope_status status = envelope_read(body, limits, envelope, error);

    require(ok == (status != ENVELOPE_NOT_JSON));
    if (!ok)
        require(checked.offset == error->offset && strcmp(checked.reason, error->reason) == 0);
    if (status != ENVELOPE_OK && status != ENVELOPE_BATCH)
        require(error->offset <= body.size && error->reason[0] != '\0');
    require_envelope(body, status, envelope);
    return status;
}

/* The elements, with a comma between each and the next, are the batch. */
static void require_batch(struct bytes batch)
{
    struct bytes element;
    struct envelope envelope;
    struct json_error error;
    const char *behind = batch.data + strspn(batch.data, " \t\r\n");
    size_t at = 0;

    require(*behind == '[');
    for (char before = '['; envelope_next(batch, &at, &element); before = ',') {
        require(is_inside(element, batch) && *behind == before && element.data > behind);
        require_value(element);
        require((size_t)(element.data - behind) == 1 + strspn(behind + 1, " \t\r\n"));
        behind = element.data + element.size;
        behind += strspn(behind, " \t\r\n");
        enum envelope_status status = envelope_read_element(element, &wide, &envelope, &error);
        require(status == ENVELOPE_OK || status == ENVELOPE_INVALID);
        require(envelope.format == ENVELOPE_JSONRPC);
        require_envelope(element, status, &envelope);
    }
    require(*behind == ']');
}

static void require_reply(enum envelope_format format, struct bytes out, struct bytes message,
                          struct bytes id)
{
    char room[300];
    struct json_error error;
    struct frame frame;
    struct reply reply = {.id = id, .format = (uint8_t)format};
    reply_set_error(&reply, "timeout",
                    reply_error_result("code", message, id.size % 3000, room, sizeof(room)));
    reply_set_out(&reply, out);
    size_t size = protocol_reply_size(PROTOCOL_FRAME, &reply);
    char *written = malloc(size);

    require(protocol_reply_write(PROTOCOL_FRAME, &reply, written) == size);
    require(frame_next((struct bytes){written, size}, UINT32_MAX, &frame) == FRAME_WHOLE);
    require(frame.size == size && json_check(frame.body, &wide, &error));
    free(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct json_limits tight = {3, 12};
    struct bytes body = {(const char *)data, size};
    struct envelope envelope, other;
    struct json_error error, ignored;
    enum envelope_status status = read_both(body, &wide, &envelope, &error);

    if (read_both(body, &tight, &other, &ignored) != ENVELOPE_NOT_JSON) {
        require(bytes_equal(envelope.in, other.in) && bytes_equal(envelope.params, other.params));
        require(envelope.id.data == other.id.data && envelope.id.size == other.id.size);
    }
    require_reply(ENVELOPE_PILLION, body, body, envelope.id);
    require_reply(ENVELOPE_JSONRPC, body, body, envelope.id);
    if (status == ENVELOPE_BATCH) {
        char *text = strndup(body.data, body.size); /* where a NUL follows */
        require_batch((struct bytes){text, body.size});
        free(text);
    }
    if (status == ENVELOPE_NOT_JSON)
        return 0;
    /* The cut is anywhere, but the same for the same input. */
    struct bytes cut = {body.data, (size_t)131 * data[size / 2] % size};
    if (!json_check(cut, &wide, &error))
        require(error.offset == cut.size);
    return 0;
}
