/* Frames: however a stream is cut into pieces, the same frames come out of it, and each is bytes of
 * that stream. The input is how large the pieces are, the limit, and the stream. */
#include "fuzz.h"

#include "wire/frame.h"
#include "wire/stranger.h"

#define SETTINGS_SIZE 3

/* Whatever is not a frame may be looked at for another protocol, and be refused in its words. */
static void refuse_stranger(struct bytes input, uint32_t max, enum frame_status status)
{
    char refusal[STRANGER_REFUSAL_MAX];

    const struct stranger *stranger =
        status == FRAME_PARTIAL ? stranger_find_hello(input) : stranger_find(input, max);
    require(stranger == NULL || stranger->form == NULL ||
            stranger_refuse(stranger, PROTOCOL_FRAME, refusal) < sizeof(refusal));
}

/* So may what comes first to a listener of another protocol. */
static void refuse_elsewhere(struct bytes input)
{
    char refusal[STRANGER_REFUSAL_MAX];

    for (unsigned protocol = PROTOCOL_LINE; protocol < PROTOCOLS; protocol++) {
        for (int whole = 0; whole < 2; whole++) {
            const struct stranger *stranger = protocol == PROTOCOL_LINE
                                                  ? stranger_of_line(input, whole)
                                                  : stranger_of_head(input, protocol);
            require(stranger == NULL ||
                    stranger_refuse(stranger, protocol, refusal) < sizeof(refusal) - 1);
        }
    }
}

/* Takes what is whole at the start of `stream`; returns how many bytes that was. */
static size_t take_frames(struct bytes stream, uint32_t max, enum frame_status *status)
{
    struct frame frame;
    size_t taken = 0;

    for (;;) {
        struct bytes rest = {stream.data + taken, stream.size - taken};
        *status = frame_next(rest, max, &frame);
        if (*status != FRAME_WHOLE)
            break;
        char header[FRAME_HEADER_SIZE];
        frame_header((uint32_t)frame.body.size, header);
        require(memcmp(header, rest.data, FRAME_HEADER_SIZE) == 0);
        require(frame.body.size <= max && frame.size == FRAME_HEADER_SIZE + frame.body.size);
        require(frame.size <= rest.size && frame.body.data == rest.data + FRAME_HEADER_SIZE);
        taken += frame.size;
    }
    size_t left = stream.size - taken;
    require(frame.body.data == NULL);
    refuse_stranger((struct bytes){stream.data + taken, left}, max, *status);
    if (*status == FRAME_TOO_LARGE)
        require(left >= FRAME_HEADER_SIZE && frame.size > max);
    else
        require(left < FRAME_HEADER_SIZE ? frame.size == 0 : frame.size > left);
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SETTINGS_SIZE)
        return 0;
    size_t piece = data[0] + (size_t)1;
    uint32_t max = (uint32_t)data[1] | (uint32_t)data[2] << 8;
    struct bytes stream = {(const char *)data + SETTINGS_SIZE, size - SETTINGS_SIZE};
    enum frame_status whole, last = FRAME_PARTIAL;

    refuse_elsewhere(stream);
    size_t at_once = take_frames(stream, max, &whole), taken = 0, arrived = 0;

    while (arrived < stream.size && last == FRAME_PARTIAL) {
        arrived = stream.size - arrived < piece ? stream.size : arrived + piece;
        taken += take_frames((struct bytes){stream.data + taken, arrived - taken}, max, &last);
    }
    require(taken == at_once && last == whole);
    return 0;
}
