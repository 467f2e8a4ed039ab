/* Reading responses. See http_response.h. */
#include "wire/http_response.h"

#include <string.h>

#include "wire/http.h"

#define STATUS_LINE      (sizeof("HTTP/1.1 200") - 1)
#define BAD_GATEWAY      502u /* RFC 9110 section 15.6.3: what a gateway says of such a response */
#define LENGTH_NOT_KNOWN UINT64_MAX

static enum frame_status refuse(struct frame *frame, const char *why)
{
    frame->refused = BAD_GATEWAY;
    frame->why = why;
    return FRAME_REFUSED;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads "HTTP/1.1 200" and what follows it. */
static bool read_status(struct bytes line, struct http_response *response)
{
    const char *digits = line.data + STATUS_LINE - 3;

    if (line.size < STATUS_LINE || memcmp(line.data, "HTTP/1.", 7) != 0 || line.data[8] != ' ' ||
        (line.data[7] != '0' && line.data[7] != '1') ||
        (line.size > STATUS_LINE && line.data[STATUS_LINE] != ' ') || !is_digit(digits[0]) ||
        !is_digit(digits[1]) || !is_digit(digits[2]) || digits[0] == '0')
        return false;
    response->status = (unsigned)(digits[0] - '0') * 100 + (unsigned)(digits[1] - '0') * 10 +
                       (unsigned)(digits[2] - '0');
    response->keep_alive = line.data[7] == '1';
    return true;
}

/* A number that is too large stays too large; false when it is none. */
static bool read_length(struct bytes value, uint64_t *length)
{
    *length = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (!is_digit(value.data[i]))
            return false;
        if (*length <= UINT32_MAX)
            *length = *length * 10 + (uint64_t)(value.data[i] - '0');
    }
    return value.size > 0;
}

static void read_connection(struct bytes value, struct http_response *response)
{
    struct bytes element;

    while (http_element(&value, &element)) {
        if (http_is(element, "close"))
            response->keep_alive = false;
        else if (http_is(element, "keep-alive"))
            response->keep_alive = true;
    }
}

static struct bytes trimmed(struct bytes value)
{
    while (value.size > 0 && strchr(" \t", value.data[0]) != NULL)
        value = (struct bytes){value.data + 1, value.size - 1};
    while (value.size > 0 && strchr(" \t", value.data[value.size - 1]) != NULL)
        value.size--;
    return value;
}

/* Reads the lines of a head, all of which end with CRLF. */
static enum frame_status read_head(struct bytes head, struct http_response *response,
                                   uint64_t *length, struct frame *frame)
{
    *length = LENGTH_NOT_KNOWN;
    for (bool first = true; head.size > 0; first = false) {
        const char *end = memmem(head.data, head.size, "\r\n", 2);
        struct bytes line = {head.data, (size_t)(end - head.data)};
        head = (struct bytes){end + 2, head.size - line.size - 2};
        if (first) {
            if (!read_status(line, response))
                return refuse(frame, "its first line is none of HTTP/1.1");
            continue;
        }
        const char *colon = memchr(line.data, ':', line.size);
        if (colon == NULL || colon == line.data)
            return refuse(frame, "a header line is no \"Name: value\"");
        struct bytes name = {line.data, (size_t)(colon - line.data)};
        struct bytes value = trimmed((struct bytes){colon + 1, line.size - name.size - 1});
        if (http_is(name, "connection"))
            read_connection(value, response);
        if (http_is(name, "transfer-encoding")) {
            if (response->chunked || !http_is(value, "chunked"))
                return refuse(frame, "Transfer-Encoding can be \"chunked\" only");
            response->chunked = true;
        }
        if (!http_is(name, "content-length"))
            continue;
        if (*length != LENGTH_NOT_KNOWN)
            return refuse(frame, "Content-Length is there twice");
        if (!read_length(value, length))
            return refuse(frame, "Content-Length is no number");
    }
    if (response->chunked && *length != LENGTH_NOT_KNOWN)
        return refuse(frame, "Content-Length and Transfer-Encoding exclude each other");
    return FRAME_WHOLE;
}

/* The body behind a head of `head` bytes is in chunks. */
static enum frame_status read_chunks(struct bytes input, size_t head,
                                     const struct frame_limits *limits, struct frame *frame)
{
    struct frame_progress progress = {.at = head, .head = head};
    struct http_request message = {0};
    enum http_status status = http_chunks_next(input, limits, &progress, &message);

    frame->size = message.size == (uint64_t)input.size + 1 ? 0 : message.size;
    if (status == HTTP_PARTIAL)
        return FRAME_PARTIAL;
    if (status != HTTP_WHOLE)
        return refuse(frame, message.why);
    frame->body = (struct bytes){input.data + head, (size_t)message.size - head};
    return FRAME_WHOLE;
}

/* The same for a response at the start of `input`, which may be an interim one. */
static enum frame_status read_one(struct bytes input, const struct frame_limits *limits,
                                  struct http_response *response, struct frame *frame)
{
    size_t look = input.size < limits->head ? input.size : limits->head;
    const char *end = look == 0 ? NULL : memmem(input.data, look, "\r\n\r\n", 4);
    uint64_t length;

    if (look >= 7 && memcmp(input.data, "HTTP/1.", 7) != 0)
        return refuse(frame, "its first line is none of HTTP/1.1");
    if (end == NULL)
        return look == limits->head ? refuse(frame, "its header lines have no end") : FRAME_PARTIAL;
    size_t size = (size_t)(end - input.data) + 4;
    enum frame_status status =
        read_head((struct bytes){input.data, size - 2}, response, &length, frame);
    if (status != FRAME_WHOLE)
        return status;
    if (response->status < 200 || response->status == 204 || response->status == 304)
        length = 0, response->chunked = false; /* section 6.3 */
    if (response->chunked)
        return read_chunks(input, size, limits, frame);
    if (length == LENGTH_NOT_KNOWN)
        return refuse(frame, "it has no Content-Length");
    if (length > limits->body) {
        frame->size = length;
        return FRAME_TOO_LARGE;
    }
    frame->size = size + length;
    if (input.size < frame->size)
        return FRAME_PARTIAL;
    frame->body = (struct bytes){input.data + size, (size_t)length};
    return FRAME_WHOLE;
}

enum frame_status http_response_next(struct bytes input, const struct frame_limits *limits,
                                     struct http_response *response, struct frame *frame)
{
    uint64_t skipped = 0;
    enum frame_status status;

    do {
        *frame = (struct frame){0};
        *response = (struct http_response){0};
        status = read_one(input, limits, response, frame);
        if (status == FRAME_WHOLE && response->status < 200) {
            input.data += frame->size;
            input.size -= (size_t)frame->size;
            skipped += frame->size;
        }
    } while (status == FRAME_WHOLE && response->status < 200);
    if (frame->size != 0 && status != FRAME_TOO_LARGE)
        frame->size += skipped;
    return status;
}
