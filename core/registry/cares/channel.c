/* See channel.h; ares_query(3), ares_process_fd(3). c-ares says by a callback which sockets it
 * waits for, and by ares_timeout when it wants to be called at the latest.
 *
 * Each name server has a channel of its own, since c-ares does not say which one of several has
 * answered, and takes no notice of one that is silent. It is asked once: the next try is the next
 * server's, and the caller's. */
#include "channel.h"

#include <ares.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"

#define UDP_MAX 1232 /* of an answer by UDP (RFC 6891); larger ones come by TCP */

struct dns_engine {
    ares_channel channel;
    struct engine_host host;
    uint32_t timeout_ms;
};

struct dns_question {
    struct dns_engine *engine;
    char name[DNS_NAME_MAX];
    enum dns_type type;
    dns_done done; /* NULL: nobody is told */
    void *context;
    bool starting, ended; /* within channel_ask, and ended there */
    char *why;            /* where to say so */
    size_t why_size;
};

/* ---- Opening ---- */

static void socket_wanted(void *data, ares_socket_t fd, int readable, int writable)
{
    const struct dns_engine *engine = data;

    /* One that cannot be watched costs its questions, which end by their time. */
    engine->host.watch(engine->host.context, fd,
                       (readable ? ENGINE_READ : 0u) | (writable ? ENGINE_WRITE : 0u));
}

static int use_server(ares_channel channel, const struct sockaddr_storage *server)
{
    struct ares_addr_port_node node = {.family = server->ss_family};
    const struct sockaddr_in *four = (const struct sockaddr_in *)server;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)server;

    if (node.family == AF_INET6) {
        memcpy(&node.addr.addr6, &six->sin6_addr, sizeof(node.addr.addr6));
        node.udp_port = node.tcp_port = ntohs(six->sin6_port);
    } else {
        node.addr.addr4 = four->sin_addr;
        node.udp_port = node.tcp_port = ntohs(four->sin_port);
    }
    return ares_set_servers_ports(channel, &node);
}

/* No file of the system's says anything here: neither name servers, nor domains, nor an order of
 * lookups. SERVFAIL and REFUSED are answers, which the caller is told. */
static int make_channel(struct dns_engine *engine)
{
    char no_file[] = "/dev/null", lookups[] = "b";
    struct ares_options options = {
        .flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP,
        .timeout = (int)engine->timeout_ms,
        .tries = 1,
        .lookups = lookups,
        .sock_state_cb = socket_wanted,
        .sock_state_cb_data = engine,
        .ednspsz = UDP_MAX,
        .resolvconf_path = no_file,
    };

    return ares_init_options(&engine->channel, &options,
                             ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                 ARES_OPT_LOOKUPS | ARES_OPT_DOMAINS | ARES_OPT_SOCK_STATE_CB |
                                 ARES_OPT_EDNSPSZ | ARES_OPT_RESOLVCONF);
}

struct dns_engine *channel_open(const struct engine_host *host,
                                const struct sockaddr_storage *server, uint32_t timeout_ms,
                                char *why, size_t size)
{
    struct dns_engine *engine = calloc(1, sizeof(*engine));
    int status = engine == NULL ? ARES_ENOMEM : ares_library_init(ARES_LIB_INIT_ALL);

    if (status == ARES_SUCCESS) {
        *engine = (struct dns_engine){.host = *host, .timeout_ms = timeout_ms};
        status = make_channel(engine);
        if (status == ARES_SUCCESS && (status = use_server(engine->channel, server)) == 0)
            return engine;
        if (engine->channel != NULL)
            ares_destroy(engine->channel);
        ares_library_cleanup();
    }
    snprintf(why, size, "c-ares cannot ask it: %s", ares_strerror(status));
    free(engine);
    return NULL;
}

void channel_close(struct dns_engine *engine)
{
    ares_destroy(engine->channel); /* which ends all questions */
    ares_library_cleanup();
    engine->host.timer(engine->host.context, -1);
    free(engine);
}

/* ---- The loop ---- */

/* Whatever c-ares has done, it may want to be called at another moment now. */
static void set_timer(const struct dns_engine *engine)
{
    struct timeval left;
    int64_t ms = -1;

    if (ares_timeout(engine->channel, NULL, &left) != NULL)
        ms = (int64_t)left.tv_sec * 1000 + (left.tv_usec + 999) / 1000;
    engine->host.timer(engine->host.context, ms);
}

void channel_ready(struct dns_engine *engine, int fd, unsigned is)
{
    ares_process_fd(engine->channel, is & ENGINE_READ ? fd : ARES_SOCKET_BAD,
                    is & ENGINE_WRITE ? fd : ARES_SOCKET_BAD);
    set_timer(engine);
}

void channel_due(struct dns_engine *engine)
{
    ares_process_fd(engine->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(engine);
}

/* ---- Questions ---- */

static void say_failure(const struct dns_question *question, int status, char *why, size_t size)
{
    if (status == ARES_ETIMEOUT)
        snprintf(why, size, "no answer within %u ms", question->engine->timeout_ms);
    else if (status == ARES_ECONNREFUSED)
        snprintf(why, size, "it cannot be reached, or its answer breaks off");
    else
        snprintf(why, size, "%s", ares_strerror(status));
}

/* c-ares is done with it, and has an answer where there are bytes of one, whatever that says. */
static void ended(void *context, int status, int timeouts, unsigned char *bytes, int size)
{
    struct dns_question *question = context;
    struct dns_answer failed = {.status = DNS_FAILED};

    (void)timeouts;
    if (question->starting) {
        say_failure(question, status, question->why, question->why_size);
        question->ended = true;
        return;
    }
    if (question->done != NULL && status != ARES_EDESTRUCTION && status != ARES_ECANCELLED) {
        say_failure(question, status, failed.why, sizeof(failed.why));
        question->done(question->context,
                       bytes == NULL || size <= 0
                           ? &failed
                           : answer_read(bytes, (size_t)size, question->name, question->type));
    }
    free(question);
}

struct dns_question *channel_ask(struct dns_engine *engine, const char *name, enum dns_type type,
                                 dns_done done, void *context, char *why, size_t size)
{
    struct dns_question *question = calloc(1, sizeof(*question));

    if (question == NULL) {
        snprintf(why, size, "out of memory for a question");
        return NULL;
    }
    *question = (struct dns_question){.engine = engine,
                                      .type = type,
                                      .done = done,
                                      .context = context,
                                      .starting = true,
                                      .why = why,
                                      .why_size = size};
    snprintf(question->name, sizeof(question->name), "%s", name);
    ares_query(engine->channel, name, 1 /* IN */, (int)type, ended, question);
    question->starting = false;
    set_timer(engine);
    if (!question->ended)
        return question;
    free(question);
    return NULL;
}

/* c-ares cannot leave one question alone: its answer goes unheard. */
void channel_cancel(struct dns_question *question)
{
    question->done = NULL;
}
