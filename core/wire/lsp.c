/* Finding messages with header lines. See lsp.h. */
#include "wire/lsp.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static enum frame_status refuse(struct frame *frame, const char *why)
{
    frame->why = why;
    return FRAME_REFUSED;
}

/* The number behind the colon, of digits and the white space around them. UINT64_MAX for none; a
 * number that is too large stays too large. */
static uint64_t read_number(struct bytes value)
{
    uint64_t number = 0;
    size_t i = 0, digits = 0;

    while (i < value.size && (value.data[i] == ' ' || value.data[i] == '\t'))
        i++;
    for (; i < value.size && value.data[i] >= '0' && value.data[i] <= '9'; i++, digits++)
        number =
            number > UINT32_MAX ? UINT32_MAX + 1ull : number * 10 + (uint64_t)(value.data[i] - '0');
    while (i < value.size && (value.data[i] == ' ' || value.data[i] == '\t'))
        i++;
    return i == value.size && digits > 0 ? number : UINT64_MAX;
}

/* Reads the lines of a head, each of which ends with CRLF. Sets `length` to that of the body. */
static enum frame_status read_head(struct bytes head, uint64_t *length, struct frame *frame)
{
    static const char name[] = "content-length";
    const size_t name_size = sizeof(name) - 1;

    *length = UINT64_MAX;
    while (head.size > 0) {
        const char *end = memmem(head.data, head.size, "\r\n", 2);
        size_t size = end == NULL ? head.size : (size_t)(end - head.data);
        const char *colon = memchr(head.data, ':', size);

        if (colon == NULL || colon == head.data)
            return refuse(frame, "a header line is no \"Name: value\"");
        if ((size_t)(colon - head.data) == name_size &&
            strncasecmp(head.data, name, name_size) == 0) {
            if (*length != UINT64_MAX)
                return refuse(frame, "Content-Length is there twice");
            *length = read_number((struct bytes){colon + 1, size - name_size - 1});
            if (*length == UINT64_MAX)
                return refuse(frame, "Content-Length is no number");
        }
        size_t taken = end == NULL ? size : size + 2;
        head.data += taken;
        head.size -= taken;
    }
    if (*length == UINT64_MAX)
        return refuse(frame, "there is no Content-Length before the empty line");
    return FRAME_WHOLE;
}

/* Where the head ends: sets progress->head once it is there. */
static enum frame_status find_head(struct bytes input, const struct frame_limits *limits,
                                   struct frame_progress *progress, struct frame *frame)
{
    static const char empty[] = "\r\n\r\n";
    const size_t empty_size = sizeof(empty) - 1;
    size_t look = input.size < limits->head ? input.size : limits->head;
    const char *end = progress->at < look ? memmem(input.data + progress->at, look - progress->at,
                                                   empty, empty_size)
                                          : NULL;

    if (end != NULL) {
        progress->head = (size_t)(end - input.data) + empty_size;
        return FRAME_WHOLE;
    }
    if (look == limits->head)
        return refuse(frame, "the header lines are longer than max_head allows");
    progress->at = look < empty_size ? 0 : look - (empty_size - 1);
    return FRAME_PARTIAL;
}

enum frame_status lsp_next(struct bytes input, const struct frame_limits *limits,
                           struct frame_progress *progress, struct frame *frame)
{
    enum frame_status status = FRAME_WHOLE;
    uint64_t length;

    *frame = (struct frame){0};
    if (progress->head == 0)
        status = find_head(input, limits, progress, frame);
    if (status == FRAME_WHOLE)
        status = read_head((struct bytes){input.data, progress->head - 4}, &length, frame);
    if (status != FRAME_WHOLE)
        return status;
    if (length > limits->body) {
        frame->size = length;
        return FRAME_TOO_LARGE;
    }
    frame->size = progress->head + length;
    if (input.size < frame->size)
        return FRAME_PARTIAL;
    frame->body = (struct bytes){input.data + progress->head, (size_t)length};
    return FRAME_WHOLE;
}

size_t lsp_head(size_t size, char to[LSP_HEAD_MAX])
{
    return (size_t)snprintf(to, LSP_HEAD_MAX, "Content-Length: %u\r\n\r\n", (unsigned)size);
}
