/* Reading HTTP: any bytes are a request, the start of one, or refused; in one piece and in several
 * it is the same; and a request that is accepted is accepted with the same meaning by llhttp, the
 * parser of Node.js, of which a second opinion is wanted: two servers that understand one
 * connection differently are how requests are smuggled. Where llhttp is stricter by a rule of its
 * own, that rule is named here.
 *
 * The first byte of the input says how large the pieces are. */
#include "fuzz.h"

#include <llhttp.h>
#include <string.h>

#include "wire/http.h"

static const struct frame_limits limits = {.head = 4096, .body = 8192};

/* What llhttp has heard, one thing after the other. */
struct second {
    char url[4096], body[8192];
    size_t url_size, body_size;
    bool complete;
};

static int on_url(llhttp_t *parser, const char *at, size_t size)
{
    struct second *second = parser->data;

    require(second->url_size + size <= sizeof(second->url));
    memcpy(second->url + second->url_size, at, size);
    second->url_size += size;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t size)
{
    struct second *second = parser->data;

    require(second->body_size + size <= sizeof(second->body));
    memcpy(second->body + second->body_size, at, size);
    second->body_size += size;
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    struct second *second = parser->data;

    second->complete = true;
    return HPE_PAUSED;
}

/* It knows a list of methods. It takes "PRI" for HTTP/2, and "SOURCE" for another protocol. */
static bool is_known_method(struct bytes method)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (bytes_equal(method, bytes_of(names[i])))
            return true;
    }
    return false;
}

/* Rules of llhttp that are no rules of HTTP: the end of an authority, a "?" at once behind it, and
 * characters of extensions of chunks; "Connection: upgrade" and "Upgrade" end what it reads. */
static bool is_beyond_it(const struct http_request *request, struct bytes chunks)
{
    return !is_known_method(request->method) ||
           http_find(request->fields, "upgrade").data != NULL ||
           http_find(request->fields, "proxy-connection").data != NULL ||
           (request->chunked && memchr(chunks.data, ';', chunks.size) != NULL);
}

static void ask_llhttp(struct bytes input, const struct http_request *request, struct bytes content)
{
    static struct second second;
    llhttp_settings_t settings;
    llhttp_t parser;

    second = (struct second){0};
    llhttp_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_body = on_body;
    settings.on_message_complete = on_complete;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &second;

    llhttp_errno_t error = llhttp_execute(&parser, input.data, (size_t)request->size);
    if (error != HPE_PAUSED || !second.complete)
        fprintf(stderr, "llhttp: %s: %s\n", llhttp_errno_name(error), parser.reason);
    require(error == HPE_PAUSED && second.complete);
    /* it is done with the whole request, not with a part of it */
    require(llhttp_get_error_pos(&parser) == input.data + request->size);
    require(bytes_equal(bytes_of(llhttp_method_name(parser.method)), request->method));
    require(parser.http_major == 1 && parser.http_minor == request->minor);
    /* of "close" and "keep-alive" in 1.0 it takes the latter; RFC 9112 section 9.3 the former */
    require(llhttp_should_keep_alive(&parser) == request->keep_alive ||
            (request->minor == 0 && !request->keep_alive));
    require(bytes_equal((struct bytes){second.body, second.body_size}, content));

    const char *target = request->method.data + request->method.size + 1;
    require(bytes_equal((struct bytes){second.url, second.url_size},
                        (struct bytes){target, second.url_size}));
    require(target[second.url_size] == ' ');
}

static void check_whole(struct bytes input, const struct http_request *request)
{
    static char room[8192];
    struct bytes content = http_content(input, request, room);

    require(request->size <= input.size && request->length <= limits.body);
    require(content.size == request->length);
    require(request->head_size <= limits.head && request->head_size <= request->size);
    struct bytes body = {input.data + request->head_size,
                         (size_t)request->size - request->head_size};
    if (!is_beyond_it(request, body))
        ask_llhttp(input, request, content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_progress none = {0}, progress = {0};
    struct http_request request, again;

    if (size == 0)
        return 0;
    /* memory of its own, so that a byte too far is found */
    char *copy = malloc(size);
    struct bytes input = {copy, size - 1};
    memcpy(copy, data + 1, size - 1);

    enum http_status status = http_next(input, &limits, &none, &request), later = HTTP_PARTIAL;
    for (size_t part = 0, step = data[0] % 64 + 1u; later == HTTP_PARTIAL; part += step) {
        bool last = part >= input.size;
        later =
            http_next((struct bytes){copy, last ? input.size : part}, &limits, &progress, &again);
        if (last)
            break;
    }
    require(later == status);
    require((status == HTTP_WHOLE || status == HTTP_PARTIAL) == (request.why == NULL));
    if (status == HTTP_PARTIAL)
        require(request.size > input.size);
    if (status == HTTP_WHOLE) {
        require(again.size == request.size && again.length == request.length);
        check_whole(input, &request);
    }
    free(copy);
    return 0;
}
