/* Reading PROXY headers. See proxy_header.h. Sections are those of the protocol's text. */
#include "wire/proxy_header.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/un.h>

static enum proxy_status invalid(struct proxy_header *header, const char *why)
{
    header->why = why;
    return PROXY_INVALID;
}

/* ---- Addresses ---- */

static void set_v4(struct proxy_header *header, const void *address, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};

    memcpy(&v4.sin_addr, address, sizeof(v4.sin_addr));
    memcpy(&header->source, &v4, sizeof(v4));
    header->source_size = sizeof(v4);
}

/* A balancer that listens for both families writes IPv4 clients as ::ffff:192.0.2.1. They have one
 * text, however they came. */
static void set_v6(struct proxy_header *header, const void *address, uint16_t port)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    memcpy(&v6.sin6_addr, address, sizeof(v6.sin6_addr));
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
        set_v4(header, (const char *)address + 12, port);
        return;
    }
    memcpy(&header->source, &v6, sizeof(v6));
    header->source_size = sizeof(v6);
}

/* `path` has 108 bytes, the rest of them NUL. An abstract name begins with NUL (unix(7)). */
static void set_unix(struct proxy_header *header, const char *path)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    size_t size = sizeof(local.sun_path);

    static_assert(sizeof(local.sun_path) == 108, "as in section 2.2");
    while (size > 0 && path[size - 1] == '\0')
        size--;
    memcpy(local.sun_path, path, size);
    memcpy(&header->source, &local, sizeof(local));
    header->source_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
}

/* ---- Version 1: a line of text (section 2.1) ---- */

#define V1_START  "PROXY "
#define V1_MAX    107u /* with CR and LF */
#define FIELD_MAX 40u  /* an IPv6 address has at most 39 characters */

/* Takes the next field, which ends with a space, or with the line for the last one. */
static bool take_field(struct bytes *line, bool last, char field[FIELD_MAX])
{
    const char *end = memchr(line->data, ' ', line->size);
    size_t size = end == NULL ? line->size : (size_t)(end - line->data);

    if ((end == NULL) != last || size == 0 || size >= FIELD_MAX)
        return false;
    memcpy(field, line->data, size);
    field[size] = '\0';
    line->data += last ? size : size + 1;
    line->size -= last ? size : size + 1;
    return strlen(field) == size;
}

/* Decimal, without zeros in front (section 2.1). */
static bool take_port(struct bytes *line, bool last, uint16_t *port)
{
    char field[FIELD_MAX];
    unsigned number = 0;

    if (!take_field(line, last, field) || strlen(field) > 5 ||
        field[strspn(field, "0123456789")] != '\0' || (field[0] == '0' && field[1] != '\0'))
        return false;
    for (const char *digit = field; *digit != '\0'; digit++)
        number = number * 10 + (unsigned)(*digit - '0');
    *port = (uint16_t)number;
    return number <= UINT16_MAX;
}

static bool take_address(struct bytes *line, int family, struct in6_addr *address)
{
    char field[FIELD_MAX];

    return take_field(line, false, field) && inet_pton(family, field, address) == 1;
}

/* `line` is what stands between "PROXY " and CR LF. */
static bool read_line(struct bytes line, struct proxy_header *header)
{
    static const struct bytes unknown = BYTES("UNKNOWN");
    struct in6_addr source, target;
    uint16_t source_port, target_port;
    char field[FIELD_MAX];

    /* What follows it is to be ignored. */
    if (line.size >= unknown.size && memcmp(line.data, unknown.data, unknown.size) == 0)
        return line.size == unknown.size || line.data[unknown.size] == ' ';
    if (!take_field(&line, false, field))
        return false;
    int family = strcmp(field, "TCP4") == 0   ? AF_INET
                 : strcmp(field, "TCP6") == 0 ? AF_INET6
                                              : AF_UNSPEC;
    if (family == AF_UNSPEC || !take_address(&line, family, &source) ||
        !take_address(&line, family, &target) || !take_port(&line, false, &source_port) ||
        !take_port(&line, true, &target_port))
        return false;
    if (family == AF_INET)
        set_v4(header, &source, source_port);
    else
        set_v6(header, &source, source_port);
    return true;
}

static enum proxy_status read_v1(struct bytes input, struct proxy_header *header)
{
    size_t start = sizeof(V1_START) - 1;
    size_t most = input.size < V1_MAX ? input.size : V1_MAX;
    const char *end = memchr(input.data, '\n', most);

    if (end == NULL)
        return most < V1_MAX ? PROXY_PARTIAL : invalid(header, "its line is longer than 107 bytes");
    header->size = (size_t)(end - input.data) + 1;
    if (memchr(input.data, '\r', header->size) != end - 1)
        return invalid(header, "its line does not end with CR and LF");
    const struct bytes line = {input.data + start, header->size - start - 2};
    if (!read_line(line, header))
        return invalid(header, "its line has not the form of \"PROXY TCP4 192.0.2.1 192.0.2.2 "
                               "50122 8080\"");
    return PROXY_WHOLE;
}

/* ---- Version 2: binary (section 2.2) ---- */

#define V2_START "\r\n\r\n\0\r\nQUIT\n"

enum {
    AT_COMMAND = 12, /* version and command */
    AT_FAMILY,       /* address family and transport */
    AT_LENGTH,       /* of what follows */
    V2_SIZE = 16,

    COMMAND_LOCAL = 0x20,
    COMMAND_PROXY = 0x21,

    TLV_SIZE = 3, /* type, and length in two bytes */
    TLV_ALPN = 0x01,
    TLV_AUTHORITY = 0x02,
    TLV_CRC32C = 0x03,
    TLV_SSL = 0x20,
    TLV_SSL_COMMON_NAME = 0x22, /* within TLV_SSL */

    SSL_SIZE = 5, /* flags, and the result of verification in four bytes */
    SSL_USED = 0x01,
    SSL_CERTIFICATE = 0x02 | 0x04,
};

/* By the byte of family and transport. */
static const struct {
    uint8_t family, size;
} families[] = {{0x00, 0}, {0x11, 12}, {0x21, 36}, {0x31, 216}};

static unsigned big_endian(const char *bytes)
{
    return (unsigned)(unsigned char)bytes[0] << 8 | (unsigned char)bytes[1];
}

/* RFC 3720 appendix B.4, with the four bytes at `zero` taken for 0. */
static uint32_t crc32c(struct bytes bytes, const char *zero)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < bytes.size; i++) {
        const char *at = bytes.data + i;
        crc ^= at >= zero && at < zero + 4 ? 0 : (unsigned char)*at;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static bool checksum_holds(struct bytes whole, struct bytes value)
{
    return value.size == 4 && ((uint32_t)big_endian(value.data) << 16 |
                               big_endian(value.data + 2)) == crc32c(whole, value.data);
}

/* Takes the next type-length-value out of `rest`. False when it is cut short. */
static bool take_tlv(struct bytes *rest, uint8_t *type, struct bytes *value)
{
    if (rest->size < TLV_SIZE)
        return false;
    size_t size = big_endian(rest->data + 1);
    if (size > rest->size - TLV_SIZE)
        return false;
    *type = (uint8_t)rest->data[0];
    *value = (struct bytes){rest->data + TLV_SIZE, size};
    rest->data += TLV_SIZE + size;
    rest->size -= TLV_SIZE + size;
    return true;
}

/* A name, which is not empty and can be a string of C, a log's and JSON's. */
static bool set_name(struct bytes *name, struct bytes value)
{
    if (name->data != NULL || value.size == 0)
        return false;
    for (size_t i = 0; i < value.size;) {
        size_t size = utf8_sequence(value.data + i, value.size - i);
        unsigned char c = (unsigned char)value.data[i];
        if (size == 0 || c < 0x20 || c == 0x7f)
            return false;
        i += size;
    }
    *name = value;
    return true;
}

/* The certificate counts when there is one and it was verified: a balancer may be told to let the
 * others pass, too. */
static bool read_ssl(struct bytes rest, struct proxy_header *header)
{
    struct bytes name = {NULL, 0}, value;
    uint8_t type;

    if (rest.size < SSL_SIZE)
        return false;
    bool certified =
        (rest.data[0] & SSL_CERTIFICATE) != 0 && memcmp(rest.data + 1, "\0\0\0", 4) == 0;
    header->tls = (rest.data[0] & SSL_USED) != 0;
    rest.data += SSL_SIZE;
    rest.size -= SSL_SIZE;
    while (rest.size > 0) {
        if (!take_tlv(&rest, &type, &value) ||
            (type == TLV_SSL_COMMON_NAME && !set_name(&name, value)))
            return false;
    }
    if (certified)
        header->common_name = name;
    return true;
}

static enum proxy_status read_tlvs(struct bytes whole, struct bytes rest,
                                   struct proxy_header *header)
{
    struct bytes value;
    bool ssl = false, good = true;
    uint8_t type;

    while (rest.size > 0) {
        if (!take_tlv(&rest, &type, &value))
            return invalid(header, "one of its values is cut short");
        if (type == TLV_ALPN)
            good = set_name(&header->alpn, value);
        else if (type == TLV_AUTHORITY)
            good = set_name(&header->authority, value);
        else if (type == TLV_SSL)
            good = !ssl && (ssl = read_ssl(value, header));
        else if (type == TLV_CRC32C && !checksum_holds(whole, value))
            return invalid(header, "its checksum is wrong");
        if (!good)
            return invalid(header, "one of its values is malformed, or there twice");
    }
    return PROXY_WHOLE;
}

static void set_source(struct proxy_header *header, uint8_t family, const char *addresses)
{
    if (family == 0x11)
        set_v4(header, addresses, (uint16_t)big_endian(addresses + 8));
    else if (family == 0x21)
        set_v6(header, addresses, (uint16_t)big_endian(addresses + 32));
    else if (family == 0x31)
        set_unix(header, addresses);
}

static enum proxy_status read_v2(struct bytes input, struct proxy_header *header)
{
    size_t family = 0, families_known = sizeof(families) / sizeof(*families);

    if (input.size < V2_SIZE)
        return PROXY_PARTIAL;
    uint8_t command = (uint8_t)input.data[AT_COMMAND];
    header->size = V2_SIZE + big_endian(input.data + AT_LENGTH);
    if (command >> 4 != 2)
        return invalid(header, "its version is neither 1 nor 2");
    if (command != COMMAND_LOCAL && command != COMMAND_PROXY)
        return invalid(header, "its command is not known");
    if (header->size > PROXY_HEADER_MAX)
        return invalid(header, "it is longer than 16384 bytes");
    if (input.size < header->size)
        return PROXY_PARTIAL;
    header->local = command == COMMAND_LOCAL;
    if (header->local)
        return PROXY_WHOLE; /* whatever it says of an address */
    while (family < families_known && families[family].family != (uint8_t)input.data[AT_FAMILY])
        family++;
    if (family == families_known)
        return invalid(header,
                       "its addresses are not those of a stream of TCP or of a Unix socket");
    size_t start = V2_SIZE + families[family].size;
    if (start > header->size)
        return invalid(header, "it is too short for its addresses");
    set_source(header, families[family].family, input.data + V2_SIZE);
    return read_tlvs((struct bytes){input.data, header->size},
                     (struct bytes){input.data + start, header->size - start}, header);
}

/* ---- Writing ---- */

#define NAME_MAX_SIZE 255u

static void put(char *to, size_t *at, const void *bytes, size_t size)
{
    memcpy(to + *at, bytes, size);
    *at += size;
}

static void put_number(char *to, size_t *at, size_t number)
{
    const char bytes[] = {(char)(number >> 8), (char)number};
    put(to, at, bytes, sizeof(bytes));
}

static void put_tlv(char *to, size_t *at, uint8_t type, struct bytes value)
{
    struct bytes checked = {NULL, 0};

    if (value.size == 0 || value.size > NAME_MAX_SIZE || !set_name(&checked, value))
        return;
    put(to, at, &type, 1);
    put_number(to, at, value.size);
    put(to, at, value.data, value.size);
}

/* The server's own address, which readers of ours have no use for, is all zeros. */
static uint8_t put_addresses(char *to, size_t *at, const struct proxy_header *header)
{
    static const char zeros[16];
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    memcpy(&v4, &header->source, sizeof(v4));
    memcpy(&v6, &header->source, sizeof(v6));
    if (header->source_size > 0 && header->source.ss_family == AF_INET) {
        put(to, at, &v4.sin_addr, sizeof(v4.sin_addr));
        put(to, at, zeros, sizeof(v4.sin_addr));
        put(to, at, &v4.sin_port, sizeof(v4.sin_port));
        put(to, at, zeros, sizeof(v4.sin_port));
        return 0x11;
    }
    if (header->source_size > 0 && header->source.ss_family == AF_INET6) {
        put(to, at, &v6.sin6_addr, sizeof(v6.sin6_addr));
        put(to, at, zeros, sizeof(v6.sin6_addr));
        put(to, at, &v6.sin6_port, sizeof(v6.sin6_port));
        put(to, at, zeros, sizeof(v6.sin6_port));
        return 0x21;
    }
    return 0x00;
}

size_t proxy_header_write(const struct proxy_header *header, char to[PROXY_WRITTEN_MAX])
{
    size_t at = V2_SIZE;

    memcpy(to, V2_START, AT_COMMAND);
    to[AT_COMMAND] = (char)COMMAND_PROXY;
    to[AT_FAMILY] = (char)put_addresses(to, &at, header);
    put_tlv(to, &at, TLV_ALPN, header->alpn);
    put_tlv(to, &at, TLV_AUTHORITY, header->authority);
    if (header->tls) {
        bool certified = header->common_name.size > 0;
        const char ssl[SSL_SIZE] = {(char)(SSL_USED | (certified ? SSL_CERTIFICATE : 0))};
        size_t start = at;
        at += TLV_SIZE;
        put(to, &at, ssl, sizeof(ssl));
        put_tlv(to, &at, TLV_SSL_COMMON_NAME, header->common_name);
        to[start] = TLV_SSL;
        size_t length = start + 1;
        put_number(to, &length, at - start - TLV_SIZE);
    }
    size_t length = AT_LENGTH;
    put_number(to, &length, at - V2_SIZE);
    return at;
}

/* ---- Both ---- */

enum proxy_status proxy_header_read(struct bytes input, struct proxy_header *header)
{
    static const struct {
        struct bytes start;
        enum proxy_status (*read)(struct bytes input, struct proxy_header *header);
    } versions[] = {{BYTES(V1_START), read_v1}, {BYTES(V2_START), read_v2}};

    *header = (struct proxy_header){0};
    for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
        struct bytes start = versions[i].start;
        size_t size = input.size < start.size ? input.size : start.size;
        if (memcmp(input.data, start.data, size) != 0)
            continue;
        return size < start.size ? PROXY_PARTIAL : versions[i].read(input, header);
    }
    return invalid(header, "it does not begin as one does");
}
