/* Reading requests of HTTP. See http.h. */
#include "wire/http.h"

#include <string.h>

#include "wire/http_text.h"

/* Fields that may stand in a request once only: of two, somebody else may take the other one. */
enum {
    SEEN_HOST = 1 << 0,
    SEEN_LENGTH = 1 << 1,
    SEEN_CODING = 1 << 2,
    SEEN_ORIGIN = 1 << 3,
    SEEN_TYPE = 1 << 4,
    SEEN_AUTHORIZATION = 1 << 5,
    SEEN_EXPECT = 1 << 6,
    SEEN_CLOSE = 1 << 7, /* an option of Connection, which may be there more than once */
};

#define NAMED(text) .name = text, .size = sizeof(text) - 1
static const struct {
    const char *name;
    size_t size;
    unsigned seen;
} once_only[] = {
    {NAMED("host"), SEEN_HOST},         {NAMED("content-length"), SEEN_LENGTH},
    {NAMED("content-type"), SEEN_TYPE}, {NAMED("transfer-encoding"), SEEN_CODING},
    {NAMED("origin"), SEEN_ORIGIN},     {NAMED("authorization"), SEEN_AUTHORIZATION},
    {NAMED("expect"), SEEN_EXPECT},
};
#undef NAMED

static enum http_status refuse(struct http_request *request, enum http_status status,
                               const char *why)
{
    request->why = why;
    return status;
}

static enum http_status bad(struct http_request *request, const char *why)
{
    return refuse(request, HTTP_BAD_REQUEST, why);
}

bool http_is(struct bytes text, const char *name)
{
    size_t i = 0;

    while (i < text.size && name[i] != '\0' && lower(text.data[i]) == name[i])
        i++;
    return i == text.size && name[i] == '\0';
}

bool http_element(struct bytes *list, struct bytes *element)
{
    while (list->size > 0) {
        const char *comma = memchr(list->data, ',', list->size);
        size_t size = comma == NULL ? list->size : (size_t)(comma - list->data);
        size_t taken = comma == NULL ? size : size + 1;

        *element = trim((struct bytes){list->data, size});
        list->data += taken;
        list->size -= taken;
        if (element->size > 0)
            return true;
    }
    return false;
}

/* ---- The request line ---- */

/* Takes `"http://" authority` from the start of the target (section 3.2.2). */
static void take_authority(struct bytes *target, struct http_request *request)
{
    static const char scheme[] = "http://";
    const size_t size = sizeof(scheme) - 1;

    if (target->size <= size || !http_is((struct bytes){target->data, size}, scheme))
        return;
    target->data += size;
    target->size -= size;
    request->host = (struct bytes){target->data, strcspn(target->data, "/? ")};
    target->data += request->host.size;
    target->size -= request->host.size;
}

static enum http_status read_target(struct bytes target, struct http_request *request)
{
    take_authority(&target, request);
    for (size_t i = 0; i < target.size; i++) {
        if (target.data[i] <= 0x20 || target.data[i] >= 0x7f || target.data[i] == '#')
            return bad(request, "the target holds a character that has to be percent-encoded");
    }
    const char *mark = memchr(target.data, '?', target.size);
    request->path =
        (struct bytes){target.data, mark == NULL ? target.size : (size_t)(mark - target.data)};
    request->query = mark == NULL ? (struct bytes){NULL, 0}
                                  : (struct bytes){mark + 1, target.size - request->path.size - 1};
    if (request->path.size == 0 && request->host.data != NULL)
        request->path = BYTES("/");
    if (request->path.size > 0 && request->path.data[0] == '/')
        return HTTP_WHOLE;
    if (bytes_equal(target, BYTES("*")) && bytes_equal(request->method, BYTES("OPTIONS")))
        return HTTP_WHOLE;
    return bad(request, "the target is no path");
}

/* Exactly `method SP target SP HTTP/1.x` (section 3). */
static enum http_status read_request_line(struct bytes line, struct http_request *request)
{
    static const char name[] = "HTTP/";
    enum { VERSION = sizeof(name) - 1 + 3 };

    request->method = (struct bytes){line.data, token_size(line)};
    if (request->method.size == 0 || request->method.size + 1 + VERSION >= line.size ||
        line.data[request->method.size] != ' ' || line.data[line.size - VERSION - 1] != ' ')
        return bad(request, "the first line is no \"METHOD TARGET HTTP/1.1\"");

    const char *version = line.data + line.size - VERSION;
    if (memcmp(version, name, sizeof(name) - 1) != 0 || version[5] < '0' || version[5] > '9' ||
        version[6] != '.' || version[7] < '0' || version[7] > '9')
        return bad(request, "the first line does not end with \"HTTP/1.1\"");
    if (version[5] != '1' || version[7] > '1')
        return refuse(request, HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken");
    request->minor = (unsigned)(version[7] - '0');

    size_t before = request->method.size + 1;
    return read_target((struct bytes){line.data + before, line.size - VERSION - 1 - before},
                       request);
}

/* ---- Fields ---- */

/* A name is a token, so the first colon ends it. Of CR and LF every line has only those that end
 * it. */
bool http_field(struct bytes *fields, struct bytes *name, struct bytes *value)
{
    const char *colon =
        fields->size == 0 ? NULL : memchr(fields->data, ':', fields->size); /* no data, perhaps */
    const char *stop = fields->data + fields->size;
    const char *end = colon == NULL ? NULL : memchr(colon, LF, (size_t)(stop - colon));

    if (end == NULL)
        return false;
    *name = (struct bytes){fields->data, (size_t)(colon - fields->data)};
    *value = trim((struct bytes){colon + 1, (size_t)(end - 1 - colon) - (end[-1] == CR)});
    *fields = (struct bytes){end + 1, (size_t)(stop - (end + 1))};
    return true;
}

struct bytes http_find(struct bytes fields, const char *wanted)
{
    struct bytes name, value;

    while (http_field(&fields, &name, &value)) {
        if (http_is(name, wanted))
            return value;
    }
    return (struct bytes){NULL, 0};
}

/* A field line is a name, a colon right behind it, and a value (section 5). A line that begins with
 * white space would continue the one before ("obs-fold", section 5.2); it has no name. */
static enum http_status split_field(struct bytes line, struct http_request *request,
                                    struct bytes *name, struct bytes *value)
{
    size_t size = token_size(line);

    if (line.size > 0 && is_white(line.data[0]))
        return bad(request, "a header field is folded over two lines");
    if (size == 0 || size == line.size || line.data[size] != ':')
        return bad(request, "a header line is no \"Name: value\"");
    *name = (struct bytes){line.data, size};
    *value = trim((struct bytes){line.data + size + 1, line.size - size - 1});
    return HTTP_WHOLE;
}

/* Digits alone: no sign, no list (section 6.3). What is too large stays too large. A tab behind
 * them would be white space, and is refused: others (llhttp, nginx) take it as a part of the
 * number, and where two disagree on a length, one request hides in another. */
static bool read_length(struct bytes value, uint64_t *length)
{
    for (const char *behind = value.data + value.size; *behind != CR; behind++) {
        if (*behind == '\t')
            return false;
    }
    *length = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return false;
        *length = *length > UINT64_MAX / 10 - 1 ? UINT64_MAX
                                                : *length * 10 + (uint64_t)(value.data[i] - '0');
    }
    return value.size > 0;
}

static bool is_host(struct bytes host)
{
    return kind_size(host, HOST) == host.size;
}

/* Whether the connection goes on (section 9.3): "close" is the last word. */
static void read_connection(struct bytes list, unsigned *seen, struct http_request *request)
{
    struct bytes option;

    while (http_element(&list, &option)) {
        if (http_is(option, "close"))
            *seen |= SEEN_CLOSE;
        else if (http_is(option, "keep-alive"))
            request->keep_alive = true;
    }
    if (*seen & SEEN_CLOSE)
        request->keep_alive = false;
}

/* The field's bit, or 0 for one that may be there more than once. */
static unsigned find_once_only(struct bytes name)
{
    for (size_t i = 0; i < sizeof(once_only) / sizeof(*once_only); i++) {
        if (name.size == once_only[i].size && token_is(name, once_only[i].name))
            return once_only[i].seen;
    }
    return 0;
}

static enum http_status read_field(struct bytes name, struct bytes value, unsigned *seen,
                                   struct http_request *request)
{
    unsigned field = find_once_only(name);

    if (*seen & field)
        return bad(request, "a header field that may be there once is there twice");
    *seen |= field;
    switch (field) {
    case SEEN_HOST:
        if (!is_host(value))
            return bad(request, "Host is no host");
        if (request->host.data == NULL)
            request->host = value;
        break;
    case SEEN_LENGTH:
        if (!read_length(value, &request->length))
            return bad(request, "Content-Length is no number");
        break;
    case SEEN_CODING:
        if (!http_is(value, "chunked"))
            return bad(request, "Transfer-Encoding can be \"chunked\" only");
        request->chunked = true;
        break;
    case SEEN_ORIGIN:
        request->origin = value;
        break;
    case SEEN_TYPE:
        request->type = value;
        break;
    case SEEN_EXPECT:
        if (!http_is(value, "100-continue"))
            return refuse(request, HTTP_EXPECTATION_FAILED, "Expect can be \"100-continue\" only");
        request->waits = request->minor > 0;
        break;
    default:
        if (http_is(name, "connection"))
            read_connection(value, seen, request);
        break;
    }
    return HTTP_WHOLE;
}

/* What the fields say together. */
static enum http_status check_fields(unsigned seen, const struct frame_limits *limits,
                                     struct http_request *request)
{
    if (request->minor > 0 && !(seen & SEEN_HOST))
        return bad(request, "HTTP/1.1 needs a Host");
    if (!is_host(request->host))
        return bad(request, "the target's host is no host");
    if (request->chunked && (seen & SEEN_LENGTH))
        return bad(request, "Content-Length and Transfer-Encoding exclude each other");
    if (request->chunked && request->minor == 0)
        return bad(request, "HTTP/1.0 has no Transfer-Encoding");
    if (request->length > limits->body)
        return refuse(request, HTTP_CONTENT_TOO_LARGE, "the body is larger than is allowed");
    return HTTP_WHOLE;
}

/* ---- The head ---- */

/* Where the head ends, or 0. An LF alone is refused before the rest is there: whoever writes lines
 * so never sends the CRLFs that are waited for. */
static enum http_status find_end(struct bytes input, const struct frame_limits *limits,
                                 struct frame_progress *progress, struct http_request *request)
{
    size_t end = input.size < limits->head ? input.size : limits->head;
    const char *at = input.data + progress->at, *stop = input.data + end;

    while (at < stop && (at = memchr(at, LF, (size_t)(stop - at))) != NULL) {
        if (at == input.data || at[-1] != CR)
            return bad(request, "a line does not end with CRLF");
        at++;
        if (at - input.data >= 4 && at[-4] == CR && at[-3] == LF) {
            request->head_size = (size_t)(at - input.data);
            return HTTP_WHOLE;
        }
        progress->at = (size_t)(at - input.data);
    }
    if (end < limits->head) {
        request->size = (uint64_t)input.size + 1;
        return HTTP_PARTIAL;
    }
    return progress->at == 0
               ? refuse(request, HTTP_URI_TOO_LONG, "the first line is longer than is allowed")
               : refuse(request, HTTP_HEAD_TOO_LARGE, "the head is larger than is allowed");
}

static enum http_status read_head(struct bytes head, const struct frame_limits *limits,
                                  struct http_request *request)
{
    struct bytes rest = {head.data, head.size - 2}, line, name, value;
    enum http_status status = HTTP_WHOLE;
    unsigned seen = 0;

    if (!take_line(&rest, &line))
        return bad(request, "the first line holds a control character");
    status = read_request_line(line, request);
    request->keep_alive = request->minor > 0;
    request->fields = rest;
    while (status == HTTP_WHOLE && rest.size > 0) {
        if (!take_line(&rest, &line))
            return bad(request, "a header line holds a control character");
        status = split_field(line, request, &name, &value);
        if (status == HTTP_WHOLE)
            status = read_field(name, value, &seen, request);
    }
    return status == HTTP_WHOLE ? check_fields(seen, limits, request) : status;
}

/* ---- Chunks (section 7.1) ---- */

/* The size at the start of a chunk's line, UINT64_MAX for one that nobody can send; false for none.
 * Behind it there may be extensions, and nothing else. */
static bool read_chunk_size(struct bytes line, uint64_t *size)
{
    size_t i = 0;

    *size = 0;
    for (; i < line.size && hex_digit(line.data[i]) >= 0; i++)
        *size = *size >> 56 ? UINT64_MAX : *size << 4 | (uint64_t)hex_digit(line.data[i]);
    return i > 0 && (i == line.size || line.data[i] == ';');
}

/* What a line of at most `max` bytes at `at` is: whole, partial or bad. */
static enum http_status find_line(struct bytes input, size_t at, size_t max, struct bytes *line)
{
    struct bytes rest = {input.data + at, input.size - at};
    size_t look = rest.size < max ? rest.size : max;
    const char *end = memchr(rest.data, LF, look);

    if (end == NULL)
        return look < max ? HTTP_PARTIAL : HTTP_BAD_REQUEST;
    return take_line(&rest, line) ? HTTP_WHOLE : HTTP_BAD_REQUEST;
}

/* The fields behind the last chunk, which are checked and ignored. Those that say how a message is
 * read, or whether the connection goes on, come too late there (RFC 9110 section 6.5.1). */
static enum http_status skip_trailer(struct bytes input, const struct frame_limits *limits,
                                     struct http_request *request, size_t at)
{
    const size_t start = at;
    struct bytes line = {NULL, 0}, name, value;
    enum http_status status;

    for (;;) {
        size_t left = limits->head - (at - start);

        status = find_line(input, at, left, &line);
        if (status == HTTP_BAD_REQUEST)
            return bad(request, "the trailer is no header section, or larger than is allowed");
        if (status == HTTP_PARTIAL) {
            request->size = (uint64_t)input.size + 1;
            return status;
        }
        at += line.size + 2;
        if (line.size == 0)
            break;
        if (split_field(line, request, &name, &value) != HTTP_WHOLE)
            return HTTP_BAD_REQUEST;
        if (find_once_only(name) != 0 || http_is(name, "connection"))
            return bad(request, "the trailer has a field that belongs into the head");
    }
    request->size = at;
    return HTTP_WHOLE;
}

/* Goes from chunk to chunk. A chunk that is whole is not looked at again. */
enum http_status http_chunks_next(struct bytes input, const struct frame_limits *limits,
                                  struct frame_progress *progress, struct http_request *request)
{
    for (;;) {
        struct bytes line;
        uint64_t size;
        enum http_status status = find_line(input, progress->at, HTTP_CHUNK_LINE_MAX, &line);

        request->size = (uint64_t)input.size + 1;
        if (status == HTTP_PARTIAL)
            return status;
        if (status != HTTP_WHOLE || !read_chunk_size(line, &size))
            return bad(request, "a chunk does not begin with its size");
        if (size > limits->body - progress->body)
            return refuse(request, HTTP_CONTENT_TOO_LARGE, "the body is larger than is allowed");

        size_t data = progress->at + line.size + 2;
        if (data - progress->head - progress->body > HTTP_CHUNK_LINES_MAX(limits->body))
            return refuse(request, HTTP_CONTENT_TOO_LARGE, "the body has too many small chunks");
        if (size == 0) {
            request->length = progress->body;
            return skip_trailer(input, limits, request, data);
        }
        if (input.size < data + size + 2) {
            request->size = data + size + 2;
            if (input.size <= data + size || input.data[data + size] == CR)
                return HTTP_PARTIAL;
        }
        if (input.data[data + size] != CR || input.data[data + size + 1] != LF)
            return bad(request, "a chunk does not end where its size says");
        progress->at = data + (size_t)size + 2;
        progress->body += (size_t)size;
    }
}

size_t http_chunks_copy(struct bytes chunks, char *to)
{
    size_t at = 0, copied = 0;
    struct bytes line;
    uint64_t size;

    while (find_line(chunks, at, HTTP_CHUNK_LINE_MAX, &line) == HTTP_WHOLE &&
           read_chunk_size(line, &size) && size > 0) {
        at += line.size + 2;
        memmove(to + copied, chunks.data + at, (size_t)size);
        copied += (size_t)size;
        at += (size_t)size + 2;
    }
    return copied;
}

struct bytes http_content(struct bytes input, const struct http_request *request, char *to)
{
    const char *body = input.data + request->head_size;

    if (!request->chunked)
        return (struct bytes){body, (size_t)request->length};
    return (struct bytes){
        to, http_chunks_copy((struct bytes){body, (size_t)request->size - request->head_size}, to)};
}

size_t http_content_place(struct bytes input, const struct http_request *request, size_t offset,
                          struct http_walk *walk)
{
    struct bytes line;
    uint64_t size;

    if (!request->chunked)
        return request->head_size + offset;
    while (offset >= walk->content + walk->size) {
        size_t at = walk->at == 0 ? request->head_size : walk->at + walk->size + 2;
        if (find_line(input, at, HTTP_CHUNK_LINE_MAX, &line) != HTTP_WHOLE ||
            !read_chunk_size(line, &size) || size == 0)
            return (size_t)request->size - 1; /* no byte of the content */
        walk->content += walk->size;
        walk->at = at + line.size + 2;
        walk->size = (size_t)size;
    }
    return walk->at + (offset - walk->content);
}

/* ---- The whole ---- */

enum http_status http_next(struct bytes input, const struct frame_limits *limits,
                           struct frame_progress *progress, struct http_request *request)
{
    enum http_status status;

    *request = (struct http_request){.head_size = progress->head};
    if (progress->head == 0) {
        status = find_end(input, limits, progress, request);
        if (status != HTTP_WHOLE)
            return status;
    }

    /* Chunks that are still on their way are reached without reading the head again. */
    struct http_request chunks = {0};
    if (progress->head > 0 &&
        (status = http_chunks_next(input, limits, progress, &chunks)) == HTTP_PARTIAL) {
        request->size = chunks.size;
        request->chunked = true;
        request->waits = progress->waits;
        return status;
    }
    status = read_head((struct bytes){input.data, request->head_size}, limits, request);
    if (status != HTTP_WHOLE)
        return status;
    if (request->chunked) {
        if (progress->head == 0) {
            progress->head = progress->at = request->head_size;
            progress->waits = request->waits;
        }
        return http_chunks_next(input, limits, progress, request);
    }
    request->size = request->head_size + request->length;
    return input.size < request->size ? HTTP_PARTIAL : HTTP_WHOLE;
}
