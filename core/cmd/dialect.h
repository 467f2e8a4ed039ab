/* How a command speaks to a server: what its messages are wrapped in (wire/protocol.h), whether
 * they are JSON-RPC, and whether that goes over TLS (cmd/contact.h). The options for it are the
 * same in every command that calls. */
#ifndef PILLION_CMD_DIALECT_H
#define PILLION_CMD_DIALECT_H

#include "base/error.h"
#include "cmd/command.h"
#include "cmd/contact.h"
#include "wire/http_response.h"
#include "wire/protocol.h"

struct dialect {
    unsigned protocol; /* PROTOCOL_FRAME at first */
    bool jsonrpc;
    const char *url; /* of --http, or NULL; dialect_target has checked it */
    struct secure secure;
};

enum {
    OPTION_PROTOCOL = 512,
    OPTION_JSONRPC,
    OPTION_HTTP,
    OPTION_TLS,
    OPTION_CA,
    OPTION_CERT,
    OPTION_KEY,
    OPTION_NAME,
    OPTION_INSECURE
};

/* Rows of a command's table. */
#define DIALECT_OPTIONS                                                                            \
    {OPTION_PROTOCOL, "protocol", "NAME", "frame, line, lsp or http; frame by default"},           \
        {OPTION_HTTP, "http", "URL",                                                               \
         "the same as --protocol http, and the server: http://HOST:PORT, or https:// with TLS"},   \
        {OPTION_JSONRPC, "jsonrpc", NULL, "speaks JSON-RPC 2.0; PARAMS is an object or an array"}, \
        {OPTION_TLS, "tls", NULL, "speaks TLS, as with a server at tls:HOST:PORT or https://"},    \
        {OPTION_CA, "ca", "FILE",                                                                  \
         "whose certificates are trusted (PEM); the system's authorities by default"},             \
        {OPTION_CERT, "cert", "FILE", "the client's certificate (PEM)"},                           \
        {OPTION_KEY, "key", "FILE", "its key, if that is in a file of its own"},                   \
        {OPTION_NAME, "name", "HOST", "whose certificate it has to be; that of HOST by default"},  \
    {                                                                                              \
        OPTION_INSECURE, "insecure", NULL, "takes any certificate: for tests alone"                \
    }

/* As in a command's usage. */
#define DIALECT_USAGE                                                                            \
    "[--protocol NAME | --http URL] [--jsonrpc] [--tls] [--ca FILE] [--cert FILE] [--key FILE] " \
    "[--name HOST] [--insecure]"

/* Takes one of these options. 0, or the exit status after saying what is wrong. */
int dialect_option(struct args *args, int id, struct dialect *dialect);

/* The server's address, of `given` (as --server, or NULL) or the URL, as target_read writes it.
 * Loads what TLS needs, where it is spoken. 0, or the exit status after saying what is wrong. */
int dialect_target(const struct command *self, struct dialect *dialect, const char *given,
                   char *target);

/* Whose certificate the server at `target` has to have. */
void dialect_server_name(const struct dialect *dialect, const char *target, char *name,
                         size_t room);

/* Appends `body`, which is JSON, with everything around it. `server` is what dialect_target has
 * written. */
void dialect_wrap(const struct dialect *dialect, const char *server, struct bytes body,
                  struct text *message);

/* Looks at the start of `input` for a reply. `response` tells more of one of HTTP. A body in chunks
 * is put together in its place, so a reply is looked at once. */
enum frame_status dialect_next(const struct dialect *dialect, struct bytes input,
                               struct frame_progress *progress, struct http_response *response,
                               struct frame *frame);

/* How the body of an error reply begins. */
struct bytes dialect_error_start(const struct dialect *dialect);

#endif
