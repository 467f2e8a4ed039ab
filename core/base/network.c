/* Reading and comparing networks. See network.h. */
#include "base/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* Takes the number behind the "/"; false when it is none, or more than `most`. */
static bool read_bits(const char *text, unsigned most, unsigned *bits)
{
    size_t size = strspn(text, "0123456789");
    unsigned number = 0;

    if (size == 0 || size > 3 || text[size] != '\0' || (text[0] == '0' && size > 1))
        return false;
    for (const char *digit = text; *digit != '\0'; digit++)
        number = number * 10 + (unsigned)(*digit - '0');
    *bits = number;
    return number <= most;
}

static bool bit_at(const uint8_t *bytes, unsigned bit)
{
    return bytes[bit / 8] >> (7 - bit % 8) & 1;
}

bool network_parse(const char *text, struct network *network, struct error *error)
{
    char host[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t size = slash == NULL ? strlen(text) : (size_t)(slash - text);

    *network = (struct network){.family = memchr(text, ':', size) == NULL ? AF_INET : AF_INET6};
    unsigned most = network->family == AF_INET ? 32 : 128;
    network->bits = most;
    if (size >= sizeof(host))
        size = 0;
    memcpy(host, text, size);
    host[size] = '\0';
    if (inet_pton(network->family, host, network->address) != 1)
        return error_set(error,
                         "\"%s\" is no network; write one as in 10.0.0.0/8, 2001:db8::/32 or "
                         "192.0.2.1",
                         text);
    if (slash != NULL && !read_bits(slash + 1, most, &network->bits))
        return error_set(error, "\"%s\": the number behind the \"/\" must be from 0 to %u", text,
                         most);
    for (unsigned bit = network->bits; bit < most; bit++) {
        if (bit_at(network->address, bit))
            return error_set(error,
                             "\"%s\" has more bits than the %u of the network; write %s for that "
                             "address alone",
                             text, network->bits, host);
    }
    return true;
}

bool network_has(const struct network *network, const struct sockaddr *address)
{
    const uint8_t *bytes =
        address->sa_family == AF_INET
            ? (const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr
            : (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;

    if (address->sa_family != network->family)
        return false;
    for (unsigned bit = 0; bit < network->bits; bit++) {
        if (bit_at(bytes, bit) != bit_at(network->address, bit))
            return false;
    }
    return true;
}
