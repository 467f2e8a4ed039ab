/* Options, wrapping, and finding replies. See dialect.h. */
#include "cmd/dialect.h"

#include <stdio.h>
#include <string.h>

#include "cmd/target.h"
#include "wire/lsp.h"

#define SCHEME        "http://"
#define SECURE_SCHEME "https://"
#define HTTP_PORT     ":80"
#define HTTPS_PORT    ":443"
#define HEAD_MAX      65536u

/* True when the option is one of TLS. */
static bool secure_option(struct secure *secure, int id, const char *value)
{
    switch (id) {
    case OPTION_TLS:
        return secure->on = true;
    case OPTION_CA:
        secure->authorities = value;
        return true;
    case OPTION_CERT:
        secure->certificate = value;
        return true;
    case OPTION_KEY:
        secure->key = value;
        return true;
    case OPTION_NAME:
        secure->name = value;
        return true;
    case OPTION_INSECURE:
        return secure->unverified = true;
    default:
        return false;
    }
}

int dialect_option(struct args *args, int id, struct dialect *dialect)
{
    if (secure_option(&dialect->secure, id, args->value))
        return 0;
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

/* Behind the scheme of a URL; NULL when it has none of both. */
static const char *after_scheme(const char *url)
{
    if (strncasecmp(url, SCHEME, sizeof(SCHEME) - 1) == 0)
        return url + sizeof(SCHEME) - 1;
    if (strncasecmp(url, SECURE_SCHEME, sizeof(SECURE_SCHEME) - 1) == 0)
        return url + sizeof(SECURE_SCHEME) - 1;
    return NULL;
}

/* The path of a URL; "/" when it has none. */
static const char *path_of(const char *url)
{
    const char *path = url == NULL ? NULL : strchr(after_scheme(url), '/');

    return path == NULL ? "/" : path;
}

/* ---- TLS ---- */

/* The host of an address; "" of a Unix socket. */
static void host_of(const char *target, char *host, size_t room)
{
    const char *end = strrchr(target, ':');

    host[0] = '\0';
    if (strncmp(target, "unix:", 5) == 0 || end == NULL)
        return;
    if (target[0] == '[' && end > target + 1) {
        target++;
        end--;
    }
    snprintf(host, room, "%.*s", (int)(end - target), target);
}

void dialect_server_name(const struct dialect *dialect, const char *target, char *name, size_t room)
{
    if (dialect->secure.name != NULL)
        snprintf(name, room, "%s", dialect->secure.name);
    else
        host_of(target, name, room);
}

/* 0, or the exit status after saying what is wrong. */
static int prepare(const struct command *self, const struct dialect *dialect, const char *target)
{
    const struct secure *secure = &dialect->secure;
    struct secure used = *secure;
    struct error error;

    if (!secure->on) {
        const char *alone = secure->authorities != NULL   ? "--ca"
                            : secure->certificate != NULL ? "--cert"
                            : secure->key != NULL         ? "--key"
                            : secure->name != NULL        ? "--name"
                            : secure->unverified          ? "--insecure"
                                                          : NULL;
        if (alone != NULL)
            return command_misused(self, "%s is of TLS alone: say --tls, too", alone);
        return 0;
    }
    if (secure->unverified && secure->authorities != NULL)
        return command_misused(self, "--insecure looks at no certificate, and --ca says which to "
                                     "trust");
    if (secure->key != NULL && secure->certificate == NULL)
        return command_misused(self, "--key needs --cert");
    if (secure->name != NULL && secure->name[0] == '\0')
        return command_misused(self, "--name takes the name of a host, not \"\"");
    if (secure->name == NULL && strncmp(target, "unix:", 5) == 0)
        return command_misused(self, "TLS over a Unix socket needs --name: whose certificate it "
                                     "has to be");
    if (used.key == NULL)
        used.key = used.certificate;
    if (!contact_prepare(&used, dialect->protocol == PROTOCOL_HTTP ? "http/1.1" : "pillion/1",
                         &error))
        return command_failed(self, EXIT_USAGE, "%s", error.text);
    return 0;
}

/* ---- The server ---- */

/* The address of the URL. 0, or the exit status after saying what is wrong. */
static int url_target(const struct command *self, struct dialect *dialect, char *target)
{
    const char *url = dialect->url, *start = after_scheme(url);
    struct text host = {0};

    if (start == NULL || start[strcspn(start, "?#@")] != '\0' || start[0] == '/' ||
        start[0] == '\0' || strncmp(start, "unix:", 5) == 0)
        return command_misused(self,
                               "--http takes http://HOST:PORT or http://HOST:PORT/PATH, or the "
                               "same with https, not \"%s\"",
                               url);
    bool secure = start - url == sizeof(SECURE_SCHEME) - 1;
    if (dialect->secure.on && !secure)
        return command_misused(self, "--tls and \"%s\" do not go together: write https://", url);
    dialect->secure.on = secure;
    for (const char *c = url; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
            return command_misused(self, "--http takes a URL of printable ASCII, not \"%s\"", url);
    }
    size_t size = strcspn(start, "/");
    text_append(&host, (struct bytes){start, size});
    const char *bracket = strchr(text_string(&host), ']');
    if (strchr(bracket == NULL ? text_string(&host) : bracket, ':') == NULL)
        text_append_string(&host, secure ? HTTPS_PORT : HTTP_PORT);
    int status = target_read(self, "--http", SCHEME "HOST:PORT", text_string(&host), target, NULL);
    text_free(&host);
    return status;
}

int dialect_target(const struct command *self, struct dialect *dialect, const char *given,
                   char *target)
{
    int status;

    if (dialect->url == NULL)
        status = target_read(self, "--server", TARGET_FORM, given, target, &dialect->secure.on);
    else if (given != NULL)
        return command_misused(self, "--server and --http both name a server");
    else
        status = url_target(self, dialect, target);
    return status == 0 ? prepare(self, dialect, target) : status;
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
