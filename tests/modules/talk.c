/* Speaks TLS with a server on this machine by pillion_tls_connect, as a module of its own would:
 * sends a text, finishes sending, and gives back what comes; or leaves as soon as it has written.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pillion/module.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct config {
    pillion_tls_settings ssl;
    bool bare; /* settings of zeros instead */
};

struct ask {
    int64_t port;
    const char *text, *name;
    bool leave;
};

struct talk {
    pillion_token token;
    pillion_handle tls;
    int fd;
    bool leave;
    const char *text;
    char got[4096];
    size_t size;
};

static const pillion_directive directives[] = {
    PILLION_TLS_DIRECTIVES(struct config, ssl),
    {.name = "bare", .type = PILLION_FLAG, .offset = offsetof(struct config, bare)},
    {0},
};

static const pillion_param params[] = {
    PILLION_PARAM(struct ask, port, PILLION_INTEGER, .required = true),
    PILLION_PARAM(struct ask, text, PILLION_STRING, .required = true),
    PILLION_PARAM(struct ask, name, PILLION_STRING, .fallback = "\"127.0.0.1\""),
    PILLION_PARAM(struct ask, leave, PILLION_FLAG, .fallback = "false"),
    {0},
};

static void ended(void *data)
{
    struct talk *talk = data;

    pillion_cancel(talk->tls);
    if (talk->fd >= 0)
        close(talk->fd);
}

static pillion_request *back(struct talk *talk)
{
    pillion_request *req = talk->token == 0 ? NULL : pillion_resume(talk->token);

    talk->token = 0;
    return req;
}

static void readable(pillion_instance *self, int fd, unsigned events, void *data)
{
    struct talk *talk = data;
    ssize_t got = read(fd, talk->got + talk->size, sizeof(talk->got) - 1 - talk->size);
    pillion_request *req;

    (void)self;
    (void)events;
    if (got > 0)
        talk->size += (size_t)got;
    else if ((got == 0 || errno != EAGAIN) && (req = back(talk)) != NULL)
        pillion_reply(req, "said", cJSON_CreateString(talk->got));
}

static void told(pillion_instance *self, const char *why, void *data)
{
    struct talk *talk = data;
    pillion_request *req;

    if (why != NULL) {
        if ((req = back(talk)) != NULL)
            pillion_fail(req, "broken", "%s", why);
        return;
    }
    if (write(talk->fd, talk->text, strlen(talk->text)) < 0 || (req = back(talk)) == NULL)
        return;
    if (talk->leave) {
        pillion_reply_raw(req, "left", (pillion_bytes){"null", 4});
        return; /* `ended` closes the descriptor */
    }
    shutdown(talk->fd, SHUT_WR);
    pillion_end_with(req, pillion_watch(self, talk->fd, PILLION_READ, readable, talk));
    talk->token = pillion_defer(req, 0);
}

static void talk(pillion_request *req)
{
    const struct ask *ask = pillion_args(req);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)ask->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct talk *made = pillion_alloc(req, sizeof(*made));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *made = (struct talk){.fd = -1, .leave = ask->leave, .text = ask->text};
    connect(fd, (struct sockaddr *)&to, sizeof(to));
    made->tls =
        pillion_tls_connect(pillion_state(pillion_self(req)), fd, ask->name, &made->fd, told, made);
    pillion_on_end(req, ended, made);
    if (made->tls == 0) {
        pillion_fail(req, "broken", "%s", strerror(errno));
        close(fd);
        return;
    }
    made->token = pillion_defer(req, 0);
}

static int start(pillion_instance *self, pillion_error_text *error)
{
    const struct config *config = pillion_config(self);
    const pillion_tls_settings zeros = {0}, *ssl = config->bare ? &zeros : &config->ssl;
    pillion_tls *tls = pillion_tls_open(self, ssl, sizeof(*ssl), NULL, error);

    pillion_set_state(self, tls);
    return tls == NULL ? -1 : 0;
}

static const pillion_method methods[] = {
    {.name = "talk", .handler = talk, PILLION_PARAMS(struct ask, params)},
    {0},
};

PILLION_MODULE(.name = "talk", .version = "1", .methods = methods, .directives = directives,
               .config_size = sizeof(struct config), .start = start,
               .needs = PILLION_NEEDS_NETWORK);
