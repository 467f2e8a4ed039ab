/* Finding lines. See line.h. */
#include "wire/line.h"

#include <string.h>

/* How many bytes at the start of `input` belong to lines without text. */
static size_t blank_size(struct bytes input)
{
    size_t size = 0;

    while (size < input.size && (input.data[size] == '\n' || input.data[size] == '\r'))
        size++;
    return size;
}

enum frame_status line_next(struct bytes input, const struct frame_limits *limits,
                            struct frame_progress *progress, struct frame *frame)
{
    size_t start = blank_size(input);
    size_t at = progress->at > start ? progress->at : start;

    *frame = (struct frame){.size = input.size};
    if (start == input.size)
        return input.size == 0 ? FRAME_PARTIAL : FRAME_EMPTY;

    const char *end = at < input.size ? memchr(input.data + at, '\n', input.size - at) : NULL;
    size_t size = (end == NULL ? input.size : (size_t)(end - input.data)) - start;
    if (input.data[start + size - 1] == '\r')
        size--;
    frame->size = size;
    if (size > limits->body)
        return FRAME_TOO_LARGE;
    if (end == NULL) {
        progress->at = input.size;
        frame->size = 0;
        return FRAME_PARTIAL;
    }
    frame->body = (struct bytes){input.data + start, size};
    frame->size = (size_t)(end + 1 - input.data);
    return FRAME_WHOLE;
}
