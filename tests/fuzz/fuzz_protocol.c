/* Lines, and messages with header lines: however a stream is cut into pieces, the same messages
 * come out of it, and each is bytes of that stream. The input is the protocol, how large the pieces
 * are, the limits, and the stream. */
#include "fuzz.h"

#include <stdlib.h>

#include "wire/protocol.h"

#define SETTINGS_SIZE 4
#define MESSAGES      64u

struct message {
    size_t at, size, body_at, body_size;
};

/* The messages of a stream of which `piece` bytes more arrive each time, and how it goes on. */
struct result {
    struct message messages[MESSAGES];
    unsigned count;
    enum frame_status last;
    size_t taken;
};

static void take(struct result *result, struct bytes stream, unsigned protocol,
                 const struct frame_limits *limits, size_t piece)
{
    struct frame_progress progress = {0};
    size_t arrived = 0;
    struct frame frame;

    for (;;) {
        struct bytes input = {stream.data + result->taken, arrived - result->taken};

        result->last = protocol_next(protocol, input, limits, &progress, &frame);
        if (result->last == FRAME_WHOLE && result->count < MESSAGES) {
            require(frame.size <= input.size && frame.body.size <= limits->body);
            require(frame.body.data >= input.data &&
                    frame.body.data + frame.body.size <= input.data + frame.size);
            result->messages[result->count++] =
                (struct message){result->taken, (size_t)frame.size,
                                 (size_t)(frame.body.data - stream.data), frame.body.size};
            result->taken += (size_t)frame.size;
            progress = (struct frame_progress){0};
            continue;
        }
        require((result->last == FRAME_REFUSED) == (frame.why != NULL));
        if (result->last == FRAME_EMPTY)
            require(frame.size == input.size);
        bool more = result->last == FRAME_PARTIAL || result->last == FRAME_EMPTY;
        if (!more || arrived == stream.size)
            return;
        arrived = stream.size - arrived < piece ? stream.size : arrived + piece;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned protocols_of[] = {PROTOCOL_LINE, PROTOCOL_LSP};
    struct result whole = {.count = 0}, pieces = {.count = 0};

    if (size < SETTINGS_SIZE)
        return 0;
    const unsigned protocol = protocols_of[data[0] % 2];
    const struct frame_limits limits = {.body = data[2], .head = 16u + data[3]};
    /* memory of its own, so that a byte too far is found */
    char *copy = malloc(size - SETTINGS_SIZE + 1);
    struct bytes stream = {copy, size - SETTINGS_SIZE};
    memcpy(copy, data + SETTINGS_SIZE, stream.size);

    take(&whole, stream, protocol, &limits, stream.size + 1);
    take(&pieces, stream, protocol, &limits, data[1] % 16 + 1u);
    require(whole.count == pieces.count && whole.last == pieces.last);
    require(memcmp(whole.messages, pieces.messages, whole.count * sizeof(struct message)) == 0);
    require(protocol_guess(stream) < PROTOCOLS);
    free(copy);
    return 0;
}
