/* A name server of the test's own, by UDP and TCP, whose answers are written record by record; and
 * a loop whose clock is the test's. Silence takes its time: dns.so has a clock of its own. */
#ifndef PILLION_TESTS_DNS_FIXTURE_H
#define PILLION_TESTS_DNS_FIXTURE_H

#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "built.h"
#include "loop_fixture.h"
#include "registry/dns.h"
#include "registry/resolver.h"
#include "sockets.h"

struct name_server {
    int udp, tcp; /* non-blocking */
    struct address address;
};

/* A question as it came. */
struct query {
    struct sockaddr_in from;
    int stream; /* by TCP; -1 */
    char message[512];
    size_t size, head; /* of it, and up to the end of its question */
    char name[DNS_NAME_MAX];
    uint16_t type;
    bool edns;
};

struct reply {
    char data[8192];
    size_t size;
};

/* Ends the test, which succeeds, where there is no dns.so; with a word. */
static inline const struct dns_table *dns_table(void)
{
    const char *path = getenv("SKIPPED"); /* tests.mk */

    if (access(built_path("dns.so"), R_OK) != 0) {
        FILE *list = path == NULL ? stderr : fopen(path, "a");
        if (list != NULL)
            fprintf(list, "tests of asking DNS, which need dns.so\n");
        if (list != NULL && list != stderr)
            fclose(list);
        exit(0);
    }
    void *library = dlopen(built_path("dns.so"), RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(library != NULL, "%s", dlerror());
    const struct dns_table *table = dlsym(library, DNS_TABLE_SYMBOL);
    ck_assert_ptr_nonnull(table);
    ck_assert_uint_eq(table->version, DNS_TABLE_VERSION);
    return table;
}

static inline void server_start(struct name_server *server)
{
    struct error error;
    const int on = 1;
    char text[32];

    for (;;) {
        uint16_t port = free_port();
        server->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        server->tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        setsockopt(server->tcp, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        snprintf(text, sizeof(text), "127.0.0.1:%u", port);
        if (loopback_bind(server->udp, port) && loopback_bind(server->tcp, port))
            break;
        close(server->udp);
        close(server->tcp);
    }
    ck_assert_int_eq(listen(server->tcp, 8), 0);
    ck_assert_msg(resolver_server_parse(text, &server->address, &error), "%s", error.text);
}

static inline void server_stop(struct name_server *server)
{
    close(server->udp);
    close(server->tcp);
}

static inline struct resolver_servers servers_of(const struct name_server *servers, size_t count)
{
    struct resolver_servers all = {.count = count, .timeout_ms = 1000, .rounds = 2};

    for (size_t i = 0; i < count; i++)
        all.addresses[i] = servers[i].address;
    return all;
}

/* A few iterations: what is on its way arrives. */
static inline void settle(void)
{
    for (int i = 0; i < 8; i++)
        turn();
}

static inline void read_query(struct query *query)
{
    size_t at = 12, size = 0;

    ck_assert_uint_gt(query->size, 16);
    while (query->message[at] != '\0') {
        size_t label = (size_t)query->message[at++];
        size += (size_t)sprintf(query->name + size, "%s%.*s", size == 0 ? "" : ".", (int)label,
                                query->message + at);
        at += label;
    }
    query->type = (uint16_t)((unsigned char)query->message[at + 1] << 8 |
                             (unsigned char)query->message[at + 2]);
    query->head = at + 5;
    query->edns = query->message[11] != 0;
}

/* The next question that has come by UDP. False when there is none. */
static inline bool server_asked(struct name_server *server, struct query *query)
{
    socklen_t size = sizeof(query->from);

    *query = (struct query){.stream = -1};
    settle();
    ssize_t got = recvfrom(server->udp, query->message, sizeof(query->message), 0,
                           (struct sockaddr *)&query->from, &size);
    if (got < 0)
        return false;
    query->size = (size_t)got;
    read_query(query);
    return true;
}

/* The next question, which may be asked only after another server's silence: within ten seconds. */
static inline bool server_asked_at_last(struct name_server *server, struct query *query)
{
    for (unsigned i = 0; i < 1000; i++) {
        if (server_asked(server, query))
            return true;
        usleep(10000);
        pass(10);
    }
    return false;
}

/* The same by TCP. */
static inline bool server_asked_by_tcp(struct name_server *server, struct query *query)
{
    char prefix[2];

    *query = (struct query){0};
    settle();
    query->stream = accept4(server->tcp, NULL, NULL, SOCK_CLOEXEC);
    if (query->stream < 0)
        return false;
    settle();
    ck_assert_int_eq(recv(query->stream, prefix, 2, 0), 2);
    query->size = (size_t)recv(query->stream, query->message, sizeof(query->message), 0);
    ck_assert_uint_eq(query->size, (size_t)(prefix[0] << 8 | (unsigned char)prefix[1]));
    read_query(query);
    return true;
}

/* ---- Answers ---- */

static inline void put16(struct reply *reply, unsigned number)
{
    reply->data[reply->size++] = (char)(number >> 8);
    reply->data[reply->size++] = (char)number;
}

static inline void put_name(struct reply *reply, const char *name)
{
    while (*name != '\0') {
        size_t size = strcspn(name, ".");
        reply->data[reply->size++] = (char)size;
        memcpy(reply->data + reply->size, name, size);
        reply->size += size;
        name += size + (name[size] == '.');
    }
    reply->data[reply->size++] = '\0';
}

#define OK      0x8180u /* an answer; the server asks others */
#define NO_NAME 0x8183u

static inline struct reply reply_to(const struct query *query, unsigned flags)
{
    struct reply reply = {.size = query->head};

    memcpy(reply.data, query->message, query->head);
    memset(reply.data + 6, 0, 6);
    reply.data[2] = (char)(flags >> 8);
    reply.data[3] = (char)flags;
    return reply;
}

/* Counts one more record in a section (0: the answer, 2: added), and writes its head. */
static inline void put_record(struct reply *reply, unsigned section, const char *owner,
                              unsigned type, unsigned ttl_s, size_t size)
{
    reply->data[7 + 2 * section]++;
    put_name(reply, owner);
    put16(reply, type);
    put16(reply, 1);
    put16(reply, ttl_s >> 16);
    put16(reply, ttl_s & 0xffff);
    put16(reply, (unsigned)size);
}

static inline void put_srv(struct reply *reply, const struct query *query, unsigned ttl_s,
                           unsigned priority, unsigned weight, unsigned port, const char *target)
{
    put_record(reply, 0, query->name, DNS_SRV, ttl_s,
               6 + (*target == '\0' ? 1 : strlen(target) + 2));
    put16(reply, priority);
    put16(reply, weight);
    put16(reply, port);
    put_name(reply, target);
}

static inline void put_address(struct reply *reply, unsigned section, const char *owner,
                               unsigned ttl_s, const char *address)
{
    bool six = strchr(address, ':') != NULL;

    put_record(reply, section, owner, six ? DNS_AAAA : DNS_A, ttl_s, six ? 16 : 4);
    ck_assert_int_eq(inet_pton(six ? AF_INET6 : AF_INET, address, reply->data + reply->size), 1);
    reply->size += six ? 16 : 4;
}

static inline void reply_send(struct name_server *server, const struct query *query,
                              const struct reply *reply)
{
    ck_assert_int_eq(sendto(server->udp, reply->data, reply->size, 0,
                            (const struct sockaddr *)&query->from, sizeof(query->from)),
                     (ssize_t)reply->size);
    settle();
}

#endif
