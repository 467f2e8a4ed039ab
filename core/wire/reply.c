/* Replies: see reply.h.
 *
 * What goes into strings is escaped character by character by one function, whether it is being
 * measured, written or cut. Allocates nothing. */
#include "wire/reply.h"

#include <assert.h>
#include <stdint.h>

#include "wire/frame.h"

static const struct bytes out_start = {"{\"out\":\"", 8};
static const struct bytes result_start = {"\",\"result\":", 11};
static const struct bytes id_start = {",\"id\":", 6};

/* The longest that one character, or one byte that is none, becomes: \u00XX. */
#define ESCAPED_MAX 6

/* Puts the first character of `text`, which is not empty, in the form that it has inside a JSON
 * string to `to`, and its size there to `size`. Bytes that are not UTF-8 become U+FFFD. Returns how
 * many bytes of `text` it was. */
static size_t escape_character(struct bytes text, char to[ESCAPED_MAX], size_t *size)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    unsigned char c = (unsigned char)text.data[0];
    size_t taken = utf8_sequence(text.data, text.size);

    if (taken == 0) {
        memcpy(to, "\xef\xbf\xbd", *size = 3);
        return 1;
    }
    if (c == '"' || c == '\\' || (c < 0x20 && shorts[c] != 0)) {
        to[0] = '\\';
        to[1] = c < 0x20 ? shorts[c] : (char)c;
        *size = 2;
    } else if (c < 0x20) {
        memcpy(to, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, *size = 6);
    } else {
        memcpy(to, text.data, *size = taken);
    }
    return taken;
}

/* How many bytes at the start of `text` stand for themselves: nearly always all of them. */
static size_t plain_size(struct bytes text)
{
    size_t size = 0;

    while (size < text.size && text.data[size] >= 0x20 && text.data[size] < 0x7f &&
           text.data[size] != '"' && text.data[size] != '\\')
        size++;
    return size;
}

/* Writes as many whole characters of `text`, escaped, as fit into `capacity` bytes, and returns
 * their size. With `to` NULL they are only measured. */
static size_t escape_text(struct bytes text, char *to, size_t capacity)
{
    size_t used = plain_size(text);

    if (used > capacity)
        used = capacity;
    if (to != NULL)
        memcpy(to, text.data, used);
    text.data += used;
    text.size -= used;
    while (text.size > 0) {
        char character[ESCAPED_MAX];
        size_t size;
        size_t taken = escape_character(text, character, &size);
        if (size > capacity - used)
            break;
        if (to != NULL)
            memcpy(to + used, character, size);
        used += size;
        text.data += taken;
        text.size -= taken;
    }
    return used;
}

static char *put(char *to, struct bytes bytes)
{
    memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

size_t reply_size(const struct reply *reply)
{
    size_t size = FRAME_HEADER_SIZE + out_start.size + escape_text(reply->out, NULL, SIZE_MAX) +
                  result_start.size + reply->result.size + 1;

    return reply->id.data == NULL ? size : size + id_start.size + reply->id.size;
}

size_t reply_write(const struct reply *reply, char *to)
{
    char *const body = to + FRAME_HEADER_SIZE;
    char *p = put(body, out_start);

    p += escape_text(reply->out, p, SIZE_MAX);
    p = put(p, result_start);
    p = put(p, reply->result);
    if (reply->id.data != NULL) {
        p = put(p, id_start);
        p = put(p, reply->id);
    }
    *p++ = '}';

    size_t size = (size_t)(p - body);
    assert(size <= UINT32_MAX);
    frame_header((uint32_t)size, to);
    return FRAME_HEADER_SIZE + size;
}

struct bytes reply_error_result(const char *code, struct bytes message, char *to, size_t capacity)
{
    const struct bytes code_start = BYTES("{\"code\":\"");
    const struct bytes message_start = BYTES("\",\"message\":\"");
    const struct bytes finish = BYTES("\"}");
    const size_t fixed = code_start.size + message_start.size + finish.size;

    assert(capacity >= 256);
    char *p = put(to, code_start);
    size_t used = escape_text(bytes_of(code), p, capacity - fixed);
    p = put(p + used, message_start);
    p += escape_text(message, p, capacity - fixed - used);
    p = put(p, finish);
    return (struct bytes){to, (size_t)(p - to)};
}
