/* Asking name servers. See resolver.h. */
#include "registry/resolver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

#define DATAGRAM_MAX 4096u /* a server may send more than it was asked for */
#define STREAM_MAX   65535u
#define STRANGE_MAX  64u /* datagrams that answer something else, until the next server is asked */
#define PREFIX       2u  /* bytes of a length before each message by TCP (RFC 1035 section 4.2.2) */

struct resolver_query {
    struct resolver *resolver;
    struct resolver_query *next; /* in one of its lists */
    bool open;                   /* it is being asked; otherwise it waits for its turn */
    struct dns_question question;
    uint32_t server;   /* index of the one that is asked */
    uint32_t attempts; /* that have failed */
    uint32_t strange;
    bool by_tcp;
    struct watch watch; /* its fd is -1 while there is none */
    struct timer timer;
    char *stream; /* by TCP: the message with its prefix ... */
    size_t got;   /* and how much of it is there */
    resolver_done done;
    void *context;
    struct error error; /* the last server's trouble */
};

struct resolver {
    struct loop *loop;
    struct resolver_servers servers;
    uint32_t preferred; /* index of the server that has answered last */
    uint32_t open_count;
    struct resolver_query *open, *waiting;
    struct dns_answer answer;
    struct resolver_figures figures;
};

static void attempt(struct resolver_query *query);

/* ---- Lists ---- */

static void put_last(struct resolver_query **list, struct resolver_query *query)
{
    query->next = NULL;
    while (*list != NULL)
        list = &(*list)->next;
    *list = query;
}

static void take_out(struct resolver_query **list, struct resolver_query *query)
{
    while (*list != NULL && *list != query)
        list = &(*list)->next;
    if (*list == query)
        *list = query->next;
}

/* ---- Ending ---- */

static void close_socket(struct resolver_query *query)
{
    if (query->watch.fd >= 0) {
        loop_unwatch(query->resolver->loop, &query->watch);
        close(query->watch.fd);
    }
    query->watch.fd = -1;
    timer_cancel(query->resolver->loop, &query->timer);
    free(query->stream);
    query->stream = NULL;
    query->got = 0;
}

static void begin_waiting(struct resolver *resolver);

/* Takes the query out of its list, and lets the next one begin. */
static void leave(struct resolver_query *query)
{
    struct resolver *resolver = query->resolver;

    close_socket(query);
    take_out(query->open ? &resolver->open : &resolver->waiting, query);
    if (query->open) {
        resolver->open_count--;
        begin_waiting(resolver);
    }
}

void resolver_cancel(struct resolver_query *query)
{
    leave(query);
    free(query);
}

static void tell(struct resolver_query *query, enum dns_status status)
{
    const struct resolver_reply reply = {
        .status = status,
        .answer = status == DNS_FAILED ? NULL : &query->resolver->answer,
        .why = query->error.text,
    };

    query->resolver->figures.failures += status == DNS_FAILED;
    leave(query);
    query->done(query->context, &reply);
    free(query);
}

/* ---- Attempts ---- */

static const struct address *server_of(const struct resolver_query *query)
{
    const struct resolver *resolver = query->resolver;

    return &resolver->servers.addresses[query->server % resolver->servers.count];
}

static void try_again(struct timer *timer)
{
    attempt(container_of(timer, struct resolver_query, timer));
}

/* Asks once more, from the loop. */
static void soon(struct resolver_query *query)
{
    close_socket(query);
    query->strange = 0;
    timer_set(query->resolver->loop, &query->timer, 0, try_again);
}

static void give_up(struct timer *timer)
{
    tell(container_of(timer, struct resolver_query, timer), DNS_FAILED);
}

/* This server does not say: the next one is asked, or nobody any more. `query->error` tells why. */
static void next_server(struct resolver_query *query)
{
    const struct resolver *resolver = query->resolver;

    error_prefix(&query->error, "name server %s", server_of(query)->text);
    query->attempts++;
    query->server++;
    query->by_tcp = false;
    query->question.edns = true;
    soon(query);
    if (query->attempts >= resolver->servers.count * resolver->servers.rounds)
        timer_set(resolver->loop, &query->timer, 0, give_up);
}

static void no_answer(struct timer *timer)
{
    struct resolver_query *query = container_of(timer, struct resolver_query, timer);

    error_set(&query->error, "no answer within %u ms", query->resolver->servers.timeout_ms);
    next_server(query);
}

/* ---- Answers ---- */

static void answered(struct resolver_query *query, struct bytes message)
{
    struct resolver *resolver = query->resolver;
    enum dns_status status = dns_answer_read(message, &query->question, &resolver->answer);

    switch (status) {
    case DNS_FOUND:
    case DNS_NONE:
        resolver->preferred = query->server % (uint32_t)resolver->servers.count;
        tell(query, status);
        return;
    case DNS_TRUNCATED:
        if (!query->by_tcp) {
            query->by_tcp = true;
            soon(query);
            return;
        }
        error_set(&query->error, "it says by TCP that its answer is cut");
        break;
    case DNS_NOT_UNDERSTOOD:
        if (query->question.edns) {
            query->question.edns = false;
            soon(query);
            return;
        }
        error_set(&query->error, "%s", resolver->answer.why);
        break;
    case DNS_STRANGE:
        if (!query->by_tcp && ++query->strange < STRANGE_MAX)
            return; /* perhaps somebody guesses; the answer may still come */
        error_set(&query->error, "it answers what nobody has asked");
        break;
    case DNS_FAILED:
        error_set(&query->error, "%s", resolver->answer.why);
        break;
    }
    next_server(query);
}

/* ---- UDP ---- */

static void datagram_ready(struct watch *watch, uint32_t events)
{
    struct resolver_query *query = container_of(watch, struct resolver_query, watch);
    char message[DATAGRAM_MAX];

    (void)events;
    ssize_t got = recv(watch->fd, message, sizeof(message), MSG_DONTWAIT);
    if (got >= 0) {
        answered(query, (struct bytes){message, (size_t)got});
    } else if (errno != EAGAIN && errno != EINTR) {
        error_errno(&query->error, "it cannot be asked");
        next_server(query);
    }
}

/* ---- TCP ---- */

/* The answer's length, once its prefix is there. */
static size_t stream_size(const struct resolver_query *query)
{
    const unsigned char *prefix = (const unsigned char *)query->stream;

    return query->got < PREFIX ? PREFIX : PREFIX + (size_t)(prefix[0] << 8 | prefix[1]);
}

static void stream_readable(struct watch *watch, uint32_t events)
{
    struct resolver_query *query = container_of(watch, struct resolver_query, watch);
    size_t size = stream_size(query);

    (void)events;
    ssize_t got = recv(watch->fd, query->stream + query->got, size - query->got, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        if (got < 0)
            error_errno(&query->error, "its answer by TCP breaks off");
        else
            error_set(&query->error, "its answer by TCP breaks off");
        next_server(query);
        return;
    }
    query->got += (size_t)got;
    if (query->got >= PREFIX && query->got == stream_size(query))
        answered(query, (struct bytes){query->stream + PREFIX, query->got - PREFIX});
}

/* The connection is there. A question fits any socket's buffer. */
static void stream_writable(struct watch *watch, uint32_t events)
{
    struct resolver_query *query = container_of(watch, struct resolver_query, watch);
    char question[PREFIX + DNS_QUESTION_MAX];
    size_t size = dns_question_write(&query->question, question + PREFIX);

    (void)events;
    question[0] = (char)(size >> 8);
    question[1] = (char)(size & 0xff);
    size += PREFIX;
    if (send(watch->fd, question, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size) {
        error_errno(&query->error, "it cannot be asked by TCP");
        next_server(query);
        return;
    }
    watch->callback = stream_readable;
    loop_change(query->resolver->loop, watch, EPOLLIN);
}

/* ---- Asking ---- */

static void make_id(struct dns_question *question)
{
    static uint16_t last;

    /* Without random numbers the port alone keeps others from guessing. */
    if (getrandom(&question->id, sizeof(question->id), GRND_NONBLOCK) != sizeof(question->id))
        question->id = ++last;
}

/* Opens the socket, and sends what goes by UDP. False with the reason in `query->error`. */
static bool begin(struct resolver_query *query)
{
    const struct address *server = server_of(query);
    int type = query->by_tcp ? SOCK_STREAM : SOCK_DGRAM;
    int fd = socket(server->socket.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return error_errno(&query->error, "no socket to ask it by");
    query->watch.fd = fd;
    if (connect(fd, (const struct sockaddr *)&server->socket, server->size) < 0 &&
        errno != EINPROGRESS)
        return error_errno(&query->error, "it cannot be reached");
    if (!loop_watch(query->resolver->loop, &query->watch, fd, query->by_tcp ? EPOLLOUT : EPOLLIN,
                    query->by_tcp ? stream_writable : datagram_ready))
        return error_errno(&query->error, "its answer cannot be waited for");
    if (query->by_tcp) {
        query->stream = must_alloc(PREFIX + STREAM_MAX);
        return true;
    }
    char question[DNS_QUESTION_MAX];
    size_t size = dns_question_write(&query->question, question);
    if (send(fd, question, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
        return error_errno(&query->error, "it cannot be asked");
    return true;
}

static void attempt(struct resolver_query *query)
{
    const struct resolver *resolver = query->resolver;

    make_id(&query->question);
    if (!begin(query)) {
        next_server(query);
        return;
    }
    timer_set(resolver->loop, &query->timer, (uint64_t)resolver->servers.timeout_ms * NS_PER_MS,
              no_answer);
}

static void begin_waiting(struct resolver *resolver)
{
    while (resolver->waiting != NULL && resolver->open_count < RESOLVER_OPEN_MAX) {
        struct resolver_query *query = resolver->waiting;
        resolver->waiting = query->next;
        query->open = true;
        resolver->open_count++;
        put_last(&resolver->open, query);
        soon(query);
    }
}

struct resolver_query *resolver_ask(struct resolver *resolver, const char *name, enum dns_type type,
                                    uint32_t skip, resolver_done done, void *context)
{
    struct resolver_query *query = must_zalloc(sizeof(*query));
    size_t size = strlen(name);

    resolver->figures.questions++;
    query->resolver = resolver;
    query->question.type = (uint16_t)type;
    query->question.edns = true;
    if (size > 0 && name[size - 1] == '.')
        size--;
    snprintf(query->question.name, sizeof(query->question.name), "%.*s", (int)size, name);
    query->server = resolver->preferred + skip;
    query->watch.fd = -1;
    query->done = done;
    query->context = context;
    put_last(&resolver->waiting, query);
    begin_waiting(resolver);
    return query;
}

struct resolver_figures resolver_figures(const struct resolver *resolver)
{
    return resolver->figures;
}

/* ---- Opening ---- */

void resolver_change(struct resolver *resolver, const struct resolver_servers *servers)
{
    resolver->servers = *servers;
    resolver->preferred = 0;
}

struct resolver *resolver_open(struct loop *loop, const struct resolver_servers *servers)
{
    struct resolver *resolver = must_zalloc(sizeof(*resolver));

    resolver->loop = loop;
    resolver->answer.found = must_alloc(DNS_SERVERS_MAX * sizeof(*resolver->answer.found));
    resolver->answer.addresses =
        must_alloc(DNS_ADDRESSES_MAX * sizeof(*resolver->answer.addresses));
    resolver_change(resolver, servers);
    return resolver;
}

void resolver_close(struct resolver *resolver)
{
    while (resolver->waiting != NULL)
        resolver_cancel(resolver->waiting);
    while (resolver->open != NULL)
        resolver_cancel(resolver->open);
    free(resolver->answer.found);
    free(resolver->answer.addresses);
    free(resolver);
}
