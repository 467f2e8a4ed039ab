/* Telling what a server has said. See said.h. */
#include "cmd/said.h"

#include <string.h>

#include "base/printable.h"
#include "wire/frame.h"

#define SAID_MAX 200u /* bytes that are shown */

/* An alert or a handshake (RFC 8446 section 5.1), of a version of 3.x. */
static bool is_tls(struct bytes bytes)
{
    return bytes.size >= 3 && (bytes.data[0] == 0x15 || bytes.data[0] == 0x16) &&
           bytes.data[1] == 0x03 && (unsigned char)bytes.data[2] <= 0x04;
}

static bool is_frame(struct bytes bytes)
{
    struct frame frame;

    return bytes.size > FRAME_HEADER_SIZE && bytes.data[FRAME_HEADER_SIZE] == '{' &&
           frame_next(bytes, FRAME_BODY_MAX, &frame) != FRAME_TOO_LARGE;
}

/* The first line, without white space before and behind it. */
static struct bytes first_line(struct bytes bytes)
{
    while (bytes.size > 0 && strchr(" \t\r\n", bytes.data[0]) != NULL)
        bytes = (struct bytes){bytes.data + 1, bytes.size - 1};
    const char *end = bytes.size == 0 ? NULL : memchr(bytes.data, '\n', bytes.size);
    if (end != NULL)
        bytes.size = (size_t)(end - bytes.data);
    while (bytes.size > 0 && strchr(" \t\r", bytes.data[bytes.size - 1]) != NULL)
        bytes.size--;
    return bytes;
}

static bool is_text(struct bytes line)
{
    for (size_t i = 0; i < line.size; i++) {
        if ((unsigned char)line.data[i] < ' ' && line.data[i] != '\t')
            return false;
    }
    return line.size > 0;
}

void said_append(struct text *out, struct bytes bytes)
{
    struct bytes line = first_line(bytes);

    if (is_tls(bytes)) {
        text_append_string(out, "; it speaks TLS");
    } else if (is_frame(bytes)) {
        text_append_string(out, "; it speaks frames");
    } else if (is_text(line)) {
        bool cut = line.size > SAID_MAX;
        if (cut)
            line.size = SAID_MAX;
        text_append_string(out, "; it says \"");
        text_append_line(out, line);
        text_append_string(out, cut ? "…\"" : "\"");
    }
}
