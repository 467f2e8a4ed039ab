/* Recognising other protocols, and refusing them in their own terms. See stranger.h. */
#include "wire/stranger.h"

#include <stdio.h>
#include <string.h>

/* Each form has one %s, for the protocol that the client speaks. */
#define SPOKEN_HERE(quote)                                                                     \
    "this port speaks frames of JSON, not %s: a frame is a length (4 bytes, little-endian) "   \
    "and as many bytes of JSON, such as {" quote "in" quote ": " quote "ping" quote ", " quote \
    "params" quote ": 1}; `pillion call ping 1` sends one"
#define ONE_HERE  "this port speaks %s, not %s; `pillion call --protocol %s ping 1` sends one\n"
#define TEXT_FORM SPOKEN_HERE("\"") "\n"
#define JSON_FORM                                              \
    "{\"out\":\"error\",\"result\":{\"code\":\"not_a_frame\"," \
    "\"message\":\"" SPOKEN_HERE("\\\"") "\"}}\n"
/* The body ends with the connection (RFC 9112 section 6.3). */
#define HTTP_HEAD \
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"

static const struct stranger http = {"HTTP", HTTP_HEAD TEXT_FORM, NULL};
static const struct stranger json = {"JSON without frames", JSON_FORM, NULL};
static const struct stranger tls = {"TLS", TEXT_FORM, NULL};
static const struct stranger text = {"text", TEXT_FORM, NULL};
static const struct stranger frames = {"frames", TEXT_FORM, NULL};
static const struct stranger alone = {"JSON alone", TEXT_FORM, NULL};
static const struct stranger swapped = {
    "big-endian lengths", NULL,
    "; is its length big-endian? it must be little-endian, whatever the machine"};

static const struct {
    char start[FRAME_HEADER_SIZE + 1];
    struct stranger stranger;
} others[] = {
    {"SSH-", {"SSH", TEXT_FORM, NULL}},
    {"PROX", {"the PROXY protocol", TEXT_FORM, NULL}},
    {"\r\n\r\n", {"the PROXY protocol", TEXT_FORM, NULL}}, /* version 2 */
};

/* Methods of HTTP, and how a connection of HTTP/2 begins (RFC 9113 section 3.4). */
static const char http_starts[][FRAME_HEADER_SIZE + 1] = {
    "GET ", "POST", "PUT ", "HEAD", "DELE", "OPTI", "PATC", "CONN", "TRAC", "PRI ",
};

/* A record of a handshake (RFC 8446 section 5.1): its type, a version of 3.x. */
static bool is_tls(const unsigned char *in)
{
    return in[0] == 0x16 && in[1] == 0x03 && in[2] <= 0x04;
}

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* True for a frame that would be good with its length in the other byte order. Only for lengths
 * that are above any limit as they stand, because a large frame's length may look like this by
 * chance. */
static bool is_swapped(const unsigned char *in, size_t size, uint32_t max_body)
{
    uint32_t length =
        (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | (uint32_t)in[3];

    return in[3] > FRAME_BODY_MAX >> 24 && length <= max_body && size > FRAME_HEADER_SIZE &&
           (in[FRAME_HEADER_SIZE] == '{' || is_space(in[FRAME_HEADER_SIZE]));
}

static const struct stranger *find_text(const unsigned char *in, size_t size)
{
    size_t i = 0;

    while (i < size && is_space(in[i]))
        i++;
    if (i < size && (in[i] == '{' || in[i] == '['))
        return &json;
    for (i = 0; i < FRAME_HEADER_SIZE; i++) {
        if (!is_space(in[i]) && (in[i] < 0x20 || in[i] >= 0x7f))
            return NULL;
    }
    return &text;
}

/* The protocol whose first four bytes no other has. */
static const struct stranger *find_start(const unsigned char *in)
{
    for (size_t i = 0; i < sizeof(http_starts) / sizeof(*http_starts); i++) {
        if (memcmp(in, http_starts[i], FRAME_HEADER_SIZE) == 0)
            return &http;
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        if (memcmp(in, others[i].start, FRAME_HEADER_SIZE) == 0)
            return &others[i].stranger;
    }
    return is_tls(in) ? &tls : NULL;
}

const struct stranger *stranger_find(struct bytes input, uint32_t max_body)
{
    const unsigned char *in = (const unsigned char *)input.data;

    if (input.size < FRAME_HEADER_SIZE)
        return NULL;
    const struct stranger *found = find_start(in);
    if (found != NULL)
        return found;
    if (is_swapped(in, input.size, max_body))
        return &swapped;
    return find_text(in, input.size);
}

const struct stranger *stranger_find_hello(struct bytes input)
{
    const unsigned char *in = (const unsigned char *)input.data;
    enum { MESSAGE = 5, CLIENT_HELLO = 1 }; /* after the record's header; RFC 8446 section 4 */

    return input.size > MESSAGE && is_tls(in) && in[MESSAGE] == CLIENT_HELLO ? &tls : NULL;
}

const struct stranger *stranger_of_frame(struct bytes input, uint32_t max_body,
                                         enum frame_status status)
{
    return status == FRAME_PARTIAL ? stranger_find_hello(input) : stranger_find(input, max_body);
}

const struct stranger *stranger_of_line(struct bytes input, bool whole)
{
    const unsigned char *in = (const unsigned char *)input.data;
    size_t i = 0;

    while (i < input.size && is_space(in[i]))
        i++;
    if (i == input.size || in[i] == '{' || in[i] == '[')
        return NULL;
    if (input.size < FRAME_HEADER_SIZE)
        return whole ? &text : NULL;
    const struct stranger *found = find_start(in);
    if (found != NULL)
        return found;
    return in[FRAME_HEADER_SIZE - 1] <= FRAME_BODY_MAX >> 24 ? &frames : &text;
}

const struct stranger *stranger_of_head(struct bytes input, unsigned protocol)
{
    const unsigned char *in = (const unsigned char *)input.data;

    if (input.size < FRAME_HEADER_SIZE)
        return NULL;
    const struct stranger *found = find_start(in);
    if (found == &http)
        return protocol == PROTOCOL_HTTP ? NULL : found;
    if (in[0] == '{' || in[0] == '[')
        return &alone;
    if ((in[0] > ' ' && in[0] < 0x7f) || is_space(in[0])) /* the parser tells what is wrong */
        return NULL;
    return found != NULL ? found : &frames;
}

const char *stranger_spoken(unsigned protocol)
{
    static const char *const spoken[PROTOCOLS] = {
        [PROTOCOL_FRAME] = "frames of JSON",  [PROTOCOL_AUTO] = "frames of JSON",
        [PROTOCOL_LINE] = "lines of JSON",    [PROTOCOL_LSP] = "messages with Content-Length",
        [PROTOCOL_HTTP] = "requests of HTTP", [PROTOCOL_AGENT] = "checks of HAProxy's agent",
    };

    return spoken[protocol];
}

size_t stranger_refuse(const struct stranger *stranger, unsigned protocol,
                       char out[STRANGER_REFUSAL_MAX])
{
    int size =
        protocol == PROTOCOL_FRAME
            ? snprintf(out, STRANGER_REFUSAL_MAX, stranger->form, stranger->speaks)
            : snprintf(out, STRANGER_REFUSAL_MAX, "%s" ONE_HERE, stranger == &http ? HTTP_HEAD : "",
                       stranger_spoken(protocol), stranger->speaks, protocols[protocol].name);
    return size < 0 ? 0 : (size_t)size;
}
