/* Frames: see frame.h.
 *
 * Pure arithmetic over bytes that are already here; who reads them, and into what, is net's. */
#include "wire/frame.h"

static uint32_t read_length(const char *header)
{
    const unsigned char *h = (const unsigned char *)header;

    return (uint32_t)h[0] | (uint32_t)h[1] << 8 | (uint32_t)h[2] << 16 | (uint32_t)h[3] << 24;
}

enum frame_status frame_next(struct bytes input, uint32_t max_body, struct frame *frame)
{
    *frame = (struct frame){0};
    if (input.size < FRAME_HEADER_SIZE)
        return FRAME_PARTIAL;

    uint32_t length = read_length(input.data);
    if (length > max_body) {
        frame->size = length;
        return FRAME_TOO_LARGE;
    }
    frame->size = (uint64_t)FRAME_HEADER_SIZE + length;
    if (input.size < frame->size)
        return FRAME_PARTIAL;
    frame->body = (struct bytes){input.data + FRAME_HEADER_SIZE, length};
    return FRAME_WHOLE;
}

void frame_header(uint32_t size, char out[FRAME_HEADER_SIZE])
{
    for (unsigned i = 0; i < FRAME_HEADER_SIZE; i++)
        out[i] = (char)(unsigned char)(size >> (8 * i));
}
