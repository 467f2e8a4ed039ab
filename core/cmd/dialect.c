/* Options, wrapping, and finding replies. See dialect.h. */
#include "cmd/dialect.h"

#include <string.h>

#include "cmd/target.h"
#include "wire/lsp.h"

#define SCHEME    "http://"
#define HTTP_PORT ":80"
#define HEAD_MAX  65536u

int dialect_option(struct args *args, int id, struct dialect *dialect)
{
    if (id == OPTION_JSONRPC) {
        dialect->jsonrpc = true;
        return 0;
    }
    unsigned protocol = id == OPTION_HTTP ? PROTOCOL_HTTP : protocol_find(args->value);
    if (protocol == PROTOCOLS || protocol == PROTOCOL_AUTO || protocol == PROTOCOL_AGENT)
        return command_misused(
            args->command, "--protocol takes frame, line, lsp or http, not \"%s\"", args->value);
    if (dialect->url != NULL && protocol != PROTOCOL_HTTP)
        return command_misused(args->command, "--http and --protocol %s are not both possible",
                               args->value);
    dialect->protocol = protocol;
    if (id == OPTION_HTTP)
        dialect->url = args->value;
    return 0;
}

/* The path of a URL; "/" when it has none. */
static const char *path_of(const char *url)
{
    const char *path = url == NULL ? NULL : strchr(url + sizeof(SCHEME) - 1, '/');

    return path == NULL ? "/" : path;
}

int dialect_target(const struct command *self, const struct dialect *dialect, const char *given,
                   char *target)
{
    const char *url = dialect->url;
    struct text host = {0};

    if (url == NULL)
        return target_read(self, "--server", TARGET_FORM, given, target);
    if (given != NULL)
        return command_misused(self, "--server and --http both name a server");
    if (strncasecmp(url, "https://", 8) == 0)
        return command_misused(self, "--http does not speak TLS: \"%s\"", url);
    const char *start = url + sizeof(SCHEME) - 1;
    if (strncasecmp(url, SCHEME, sizeof(SCHEME) - 1) != 0 || start[strcspn(start, "?#@")] != '\0' ||
        start[0] == '/' || start[0] == '\0' || strncmp(start, "unix:", 5) == 0)
        return command_misused(self,
                               "--http takes http://HOST:PORT or http://HOST:PORT/PATH, not "
                               "\"%s\"",
                               url);
    for (const char *c = url; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
            return command_misused(self, "--http takes a URL of printable ASCII, not \"%s\"", url);
    }
    size_t size = strcspn(start, "/");
    text_append(&host, (struct bytes){start, size});
    const char *bracket = strchr(text_string(&host), ']');
    if (strchr(bracket == NULL ? text_string(&host) : bracket, ':') == NULL)
        text_append_string(&host, HTTP_PORT);
    int status = target_read(self, "--http", SCHEME "HOST:PORT", text_string(&host), target);
    text_free(&host);
    return status;
}

/* Line ends in JSON stand between values alone: strings have none. */
static void append_on_one_line(struct text *message, struct bytes body)
{
    size_t start = message->size;

    text_append(message, body);
    for (size_t i = start; i < message->size; i++) {
        if (message->data[i] == '\n' || message->data[i] == '\r')
            message->data[i] = ' ';
    }
    text_append_char(message, '\n');
}

void dialect_wrap(const struct dialect *dialect, const char *server, struct bytes body,
                  struct text *message)
{
    char head[LSP_HEAD_MAX];

    switch (dialect->protocol) {
    case PROTOCOL_LINE:
        append_on_one_line(message, body);
        return;
    case PROTOCOL_LSP:
        text_append(message, (struct bytes){head, lsp_head(body.size, head)});
        break;
    case PROTOCOL_HTTP:
        text_printf(message,
                    "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                    "Content-Length: %zu\r\n\r\n",
                    path_of(dialect->url), strncmp(server, "unix:", 5) == 0 ? "localhost" : server,
                    body.size);
        break;
    default:
        frame_header((uint32_t)body.size, head);
        text_append(message, (struct bytes){head, FRAME_HEADER_SIZE});
    }
    text_append(message, body);
}

enum frame_status dialect_next(const struct dialect *dialect, struct bytes input,
                               struct frame_progress *progress, struct http_response *response,
                               struct frame *frame)
{
    const struct frame_limits limits = {.body = FRAME_BODY_MAX, .head = HEAD_MAX};

    if (dialect->protocol != PROTOCOL_HTTP)
        return protocol_next(dialect->protocol, input, &limits, progress, frame);
    enum frame_status status = http_response_next(input, &limits, response, frame);
    if (status == FRAME_WHOLE && response->chunked)
        frame->body.size =
            http_chunks_copy(frame->body, (char *)(uintptr_t)frame->body.data); /* in its place */
    return status;
}

struct bytes dialect_error_start(const struct dialect *dialect)
{
    return dialect->jsonrpc ? BYTES("{\"jsonrpc\":\"2.0\",\"error\"") : BYTES("{\"out\":\"error\"");
}
