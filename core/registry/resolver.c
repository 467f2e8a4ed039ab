/* Asking name servers one after the other. See resolver.h. */
#include "registry/resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "registry/engine_loop.h"

struct resolver_query {
    struct resolver *resolver;
    struct resolver_query *next; /* in one of its lists */
    bool open;                   /* it is being asked; otherwise it waits for its turn */
    char name[DNS_NAME_MAX];
    enum dns_type type;
    uint32_t server;               /* index of the one that is asked */
    uint32_t attempts;             /* that have failed */
    struct dns_question *question; /* NULL while there is none */
    struct timer timer;            /* until it is asked, or given up */
    resolver_done done;
    void *context;
    struct error error; /* the last server's trouble */
};

/* A name server. */
struct server {
    struct resolver *resolver;
    struct engine_loop *driver; /* NULL: it was not asked so far */
    struct dns_engine *engine;  /* NULL: it cannot be asked, and `why` tells */
    char why[256];
};

struct resolver {
    struct loop *loop;
    const struct dns_table *table;
    struct resolver_servers servers;
    struct server asked[RESOLVER_SERVERS_MAX];
    uint32_t preferred; /* index of the server that has answered last */
    uint32_t open_count;
    struct resolver_query *open, *waiting;
    struct resolver_figures figures;
};

static void attempt(struct timer *timer);

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

static void stop_asking(struct resolver_query *query)
{
    if (query->question != NULL)
        query->resolver->table->cancel(query->question);
    query->question = NULL;
    timer_cancel(query->resolver->loop, &query->timer);
}

static void begin_waiting(struct resolver *resolver);

/* Takes the query out of its list, and lets the next one begin. */
static void leave(struct resolver_query *query)
{
    struct resolver *resolver = query->resolver;

    stop_asking(query);
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

static void tell(struct resolver_query *query, const struct dns_answer *answer)
{
    const struct resolver_reply reply = {
        .status = answer == NULL ? DNS_FAILED : answer->status,
        .answer = answer,
        .why = query->error.text,
    };

    query->resolver->figures.failures += answer == NULL;
    leave(query);
    query->done(query->context, &reply);
    free(query);
}

static void give_up(struct timer *timer)
{
    tell(container_of(timer, struct resolver_query, timer), NULL);
}

/* ---- Name servers ---- */

static void server_ready(void *context, int fd, unsigned is)
{
    const struct server *server = context;

    server->resolver->table->ready(server->engine, fd, is);
}

static void server_due(void *context)
{
    const struct server *server = context;

    server->resolver->table->due(server->engine);
}

/* The first time that it is asked. */
static void open_server(struct resolver *resolver, uint32_t index)
{
    struct server *server = &resolver->asked[index];

    *server = (struct server){.resolver = resolver, .driver = engine_loop_open(resolver->loop)};
    const struct engine_host host = engine_loop_host(server->driver);
    engine_loop_use(server->driver, &(struct engine_calls){server, server_ready, server_due});
    server->engine =
        resolver->table->open(&host, &resolver->servers.addresses[index].socket,
                              resolver->servers.timeout_ms, server->why, sizeof(server->why));
}

static void close_servers(struct resolver *resolver)
{
    for (size_t i = 0; i < resolver->servers.count; i++) {
        struct server *server = &resolver->asked[i];
        if (server->engine != NULL)
            resolver->table->close(server->engine);
        if (server->driver != NULL)
            engine_loop_close(server->driver);
        *server = (struct server){.driver = NULL};
    }
}

/* ---- Asking ---- */

static uint32_t index_of(const struct resolver_query *query)
{
    return query->server % (uint32_t)query->resolver->servers.count;
}

/* This server does not say: the next one is asked, or nobody any more. */
static void next_server(struct resolver_query *query, const char *why)
{
    const struct resolver *resolver = query->resolver;

    error_set(&query->error, "name server %s: %s",
              resolver->servers.addresses[index_of(query)].text, why);
    query->attempts++;
    query->server++;
    bool last = query->attempts >= resolver->servers.count * resolver->servers.rounds;
    timer_set(resolver->loop, &query->timer, 0, last ? give_up : attempt);
}

static void answered(void *context, const struct dns_answer *answer)
{
    struct resolver_query *query = context;

    query->question = NULL;
    if (answer->status == DNS_FAILED) {
        next_server(query, answer->why);
        return;
    }
    query->resolver->preferred = index_of(query);
    tell(query, answer);
}

static void attempt(struct timer *timer)
{
    struct resolver_query *query = container_of(timer, struct resolver_query, timer);
    struct resolver *resolver = query->resolver;
    const struct server *server = &resolver->asked[index_of(query)];
    char why[256];

    if (server->driver == NULL)
        open_server(resolver, index_of(query));
    if (server->engine == NULL) {
        next_server(query, server->why);
        return;
    }
    query->question = resolver->table->ask(server->engine, query->name, query->type, answered,
                                           query, why, sizeof(why));
    if (query->question == NULL)
        next_server(query, why);
}

static void begin_waiting(struct resolver *resolver)
{
    while (resolver->waiting != NULL && resolver->open_count < RESOLVER_OPEN_MAX) {
        struct resolver_query *query = resolver->waiting;
        resolver->waiting = query->next;
        query->open = true;
        resolver->open_count++;
        put_last(&resolver->open, query);
        timer_set(resolver->loop, &query->timer, 0, attempt);
    }
}

struct resolver_query *resolver_ask(struct resolver *resolver, const char *name, enum dns_type type,
                                    uint32_t skip, resolver_done done, void *context)
{
    struct resolver_query *query = must_zalloc(sizeof(*query));
    size_t size = strlen(name);

    resolver->figures.questions++;
    query->resolver = resolver;
    query->type = type;
    if (size > 0 && name[size - 1] == '.')
        size--;
    snprintf(query->name, sizeof(query->name), "%.*s", (int)size, name);
    query->server = resolver->preferred + skip;
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
    for (struct resolver_query *query = resolver->open; query != NULL; query = query->next) {
        stop_asking(query);
        query->server = query->attempts = 0;
        timer_set(resolver->loop, &query->timer, 0, attempt);
    }
    close_servers(resolver);
    resolver->servers = *servers;
    resolver->preferred = 0;
}

struct resolver *resolver_open(struct loop *loop, const struct dns_table *table,
                               const struct resolver_servers *servers)
{
    struct resolver *resolver = must_zalloc(sizeof(*resolver));

    resolver->loop = loop;
    resolver->table = table;
    resolver->servers = *servers;
    return resolver;
}

void resolver_close(struct resolver *resolver)
{
    while (resolver->waiting != NULL)
        resolver_cancel(resolver->waiting);
    while (resolver->open != NULL)
        resolver_cancel(resolver->open);
    close_servers(resolver);
    free(resolver);
}
