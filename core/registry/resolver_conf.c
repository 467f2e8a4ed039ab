/* Which name servers are asked: those of a directive, or of resolv.conf(5). See resolver.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "registry/resolver.h"

#define PORT       "53"
#define TIMEOUT_MS 5000u /* as resolv.conf(5) has them */
#define ROUNDS     2u
#define CONF_MAX   65536u

/* The text in the form that address_parse takes, with a port. */
static void with_port(const char *text, char *to, size_t size)
{
    const char *colon = strchr(text, ':');

    if (text[0] != '[' && colon != NULL && strchr(colon + 1, ':') != NULL)
        snprintf(to, size, "[%s]:" PORT, text);
    else if (colon == NULL || (text[0] == '[' && text[strlen(text) - 1] == ']'))
        snprintf(to, size, "%s:" PORT, text);
    else
        snprintf(to, size, "%s", text);
}

bool resolver_server_parse(const char *text, struct address *address, struct error *error)
{
    char whole[ADDRESS_TEXT_SIZE];

    with_port(text, whole, sizeof(whole));
    if (strlen(text) + sizeof(PORT) + 3 > sizeof(whole) || strncmp(text, "unix:", 5) == 0 ||
        strchr("*.", whole[0]) != NULL || !address_parse(whole, NULL, false, address, error) ||
        (address->socket.ss_family != AF_INET && address->socket.ss_family != AF_INET6))
        return error_set(error,
                         "\"%s\" is no name server: write its address, and its port if that is not "
                         "53: 10.0.0.53, 127.0.0.1:5353 or [2001:db8::53]:53",
                         text);
    return true;
}

bool resolver_servers_read(const char *const *texts, size_t count, uint32_t timeout_ms,
                           struct resolver_servers *servers, struct error *error)
{
    *servers = (struct resolver_servers){.timeout_ms = timeout_ms, .rounds = ROUNDS};
    for (size_t i = 0; i < count && i < RESOLVER_SERVERS_MAX; i++) {
        if (!resolver_server_parse(texts[i], &servers->addresses[servers->count++], error))
            return false;
    }
    return servers->count > 0 || error_set(error, "there is no name server");
}

/* ---- resolv.conf ---- */

/* Takes the next word of a line off `line`; its size is 0 at the end. */
static struct bytes next_word(struct bytes *line)
{
    static const char white[] = " \t\r";

    while (line->size > 0 && memchr(white, line->data[0], sizeof(white) - 1) != NULL) {
        line->data++;
        line->size--;
    }
    struct bytes word = {line->data, 0};
    while (word.size < line->size &&
           memchr(white, line->data[word.size], sizeof(white) - 1) == NULL)
        word.size++;
    line->data += word.size;
    line->size -= word.size;
    return word;
}

static void add_server(struct bytes word, struct resolver_servers *servers)
{
    char text[ADDRESS_TEXT_SIZE];
    struct error error;

    if (word.size >= sizeof(text) || servers->count == RESOLVER_SERVERS_MAX)
        return;
    snprintf(text, sizeof(text), "%.*s", (int)word.size, word.data);
    /* An address that this cannot read, such as one with a scope, is left out. */
    if (resolver_server_parse(text, &servers->addresses[servers->count], &error))
        servers->count++;
}

/* Reads "NAME:N" with a number from 1 to `most`. */
static void read_option(struct bytes word, const char *name, uint32_t most, uint32_t *number)
{
    size_t size = strlen(name);
    char digits[8];

    if (word.size <= size || word.size - size >= sizeof(digits) ||
        memcmp(word.data, name, size) != 0)
        return;
    snprintf(digits, sizeof(digits), "%.*s", (int)(word.size - size), word.data + size);
    unsigned long value = strtoul(digits, NULL, 10);
    if (value >= 1)
        *number = value < most ? (uint32_t)value : most;
}

static void read_line(struct bytes line, struct resolver_servers *servers, uint32_t *timeout_s)
{
    struct bytes word = next_word(&line);

    if (bytes_equal(word, BYTES("nameserver"))) {
        add_server(next_word(&line), servers);
        return;
    }
    if (!bytes_equal(word, BYTES("options")))
        return;
    while ((word = next_word(&line)).size > 0) {
        read_option(word, "timeout:", 30, timeout_s);
        read_option(word, "attempts:", 5, &servers->rounds);
    }
}

void resolver_conf_read(struct bytes text, struct resolver_servers *servers)
{
    uint32_t timeout_s = TIMEOUT_MS / 1000;
    struct error error;

    servers->count = 0;
    servers->rounds = ROUNDS;
    while (text.size > 0) {
        const char *end = memchr(text.data, '\n', text.size);
        size_t size = end == NULL ? text.size : (size_t)(end - text.data);
        read_line((struct bytes){text.data, size}, servers, &timeout_s);
        size += end != NULL;
        text.data += size;
        text.size -= size;
    }
    servers->timeout_ms = timeout_s * 1000;
    if (servers->count == 0 && resolver_server_parse("127.0.0.1", servers->addresses, &error))
        servers->count = 1;
}

bool resolver_conf_load(const char *path, struct resolver_servers *servers, struct error *error)
{
    char text[CONF_MAX];
    size_t size = 0;
    ssize_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return error_errno(error, "cannot open \"%s\"", path);
    while (size < sizeof(text) && (got = read(fd, text + size, sizeof(text) - size)) > 0)
        size += (size_t)got;
    if (got < 0)
        error_errno(error, "cannot read \"%s\"", path);
    close(fd);
    if (got < 0)
        return false;
    resolver_conf_read((struct bytes){text, size}, servers);
    return true;
}
