/* Reading and writing addresses. See address.h.
 *
 * The text of an address is always made from the socket address, never from the text that was read,
 * so that two spellings of one address have one text. */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define HOST_SIZE      (ADDRESS_TEXT_SIZE - 16)
#define PORT_SIZE      8
#define HOST_TEXT_SIZE 256 /* a host name has at most 253 characters (RFC 1035 section 2.3.4) */

#define UNIX_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

/* An address as written, taken apart. */
struct parts {
    char host[HOST_TEXT_SIZE];
    const char *port; /* digits; in the text that was read */
    bool brackets;    /* the host stood in [ ] */
};

/* ---- reading ---- */

static bool port_valid(const char *port)
{
    size_t size = strspn(port, "0123456789");
    unsigned number = 0;

    if (size == 0 || size > 5 || port[size] != '\0')
        return false;
    for (const char *p = port; *p != '\0'; p++)
        number = number * 10 + (unsigned)(*p - '0');
    return number >= 1 && number <= UINT16_MAX;
}

static bool split(const char *text, struct parts *parts, struct error *error)
{
    const char *host = text;
    const char *end = strrchr(text, ':');

    *parts = (struct parts){.brackets = text[0] == '['};
    if (text[strspn(text, "0123456789")] == '\0') {
        host = "*";
        end = host + 1;
        parts->port = text;
    } else if (parts->brackets) {
        host = text + 1;
        end = strchr(host, ']');
        if (end == NULL)
            return error_set(error, "\"%s\": the \"]\" of the IPv6 address is missing", text);
        if (end[1] != ':')
            return error_set(error, "\"%s\" has no port; write one as in [::1]:8080", text);
        parts->port = end + 2;
    } else if (end == NULL) {
        return error_set(error, "\"%s\" has no port; write one as in 127.0.0.1:8080", text);
    } else if (strchr(text, ':') != end) {
        return error_set(error, "\"%s\": an IPv6 address stands in brackets, as in [::1]:8080",
                         text);
    } else {
        parts->port = end + 1;
    }
    if (!port_valid(parts->port))
        return error_set(error, "\"%s\": the port must be a number from 1 to 65535", text);
    size_t size = (size_t)(end - host);
    if (size == 0)
        return error_set(error, "\"%s\" has no host; write *:%s for every IPv4 address", text,
                         parts->port);
    if (size >= sizeof(parts->host))
        return error_set(error, "\"%s\": the host is longer than a name can be", text);
    memcpy(parts->host, host, size);
    return true;
}

static void store(struct address *address, const void *socket, socklen_t size)
{
    memset(address, 0, sizeof(*address));
    memcpy(&address->socket, socket, size);
    address->size = size;
    address_format((const struct sockaddr *)&address->socket, size, address->text);
}

/* A path being assembled in a Unix socket's address. */
struct path {
    char *text; /* UNIX_PATH_MAX bytes and a NUL, all zero at first */
    size_t size;
};

/* Appends the components of `components`, without the slashes and "." that mean nothing; ".."
 * stays, because it may follow a symbolic link. False when they do not fit. */
static bool path_append(struct path *path, const char *components)
{
    while (*components != '\0') {
        size_t size = strcspn(components, "/");
        bool empty = size == 0 || (size == 1 && components[0] == '.');
        bool slash = path->size > 0 && path->text[path->size - 1] != '/';
        if (!empty && path->size + size + (slash ? 1 : 0) > UNIX_PATH_MAX)
            return false;
        if (!empty && slash)
            path->text[path->size++] = '/';
        if (!empty)
            memcpy(path->text + path->size, components, size);
        path->size += empty ? 0 : size;
        components += size;
        components += strspn(components, "/");
    }
    return true;
}

static bool parse_unix(const char *written, const char *prefix, struct address *address,
                       struct error *error)
{
    struct sockaddr_un socket = {.sun_family = AF_UNIX};
    struct path path = {.text = socket.sun_path};
    bool below = written[0] != '/' && prefix != NULL;

    if (written[strspn(written, "./")] == '\0')
        return error_set(
            error, "\"unix:%s\" names no file; write a path as in unix:run/pillion.sock", written);
    if (written[0] == '/' || below)
        path.text[path.size++] = '/';
    if ((below && !path_append(&path, prefix)) || !path_append(&path, written))
        return error_set(error, "\"unix:%s%s%s\" is too long: the system allows paths of %zu bytes",
                         below ? prefix : "", below ? "/" : "", written, UNIX_PATH_MAX);
    store(address, &socket, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.size + 1));
    return true;
}

/* Asks getaddrinfo(3), which also knows the scope of fe80::1%eth0. Returns the number of addresses
 * stored. */
static size_t look_up(const char *text, const struct parts *parts, int family, int flags,
                      struct address *addresses, size_t capacity, struct error *error)
{
    const struct addrinfo hints = {
        .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    size_t count = 0;

    int status = getaddrinfo(parts->host, parts->port, &hints, &found);
    if (status != 0) {
        bool known = status != EAI_SYSTEM;
        error_set(error, "\"%s\": no address for \"%s\": %s", text, parts->host,
                  known ? gai_strerror(status) : strerrordesc_np(errno));
        return 0;
    }
    for (const struct addrinfo *a = found; a != NULL && count < capacity; a = a->ai_next)
        store(&addresses[count++], a->ai_addr, a->ai_addrlen);
    freeaddrinfo(found);
    return count;
}

/* The last part of a host name is never a number (RFC 1123 section 2.1), so a mistyped IPv4 address
 * is not taken for a name and no name server is asked for it. */
static bool is_name(const struct parts *parts)
{
    const char *dot = strrchr(parts->host, '.');
    const char *last = dot == NULL ? parts->host : dot + 1;

    return !parts->brackets && strcmp(parts->host, "*") != 0 &&
           last[strspn(last, "0123456789")] != '\0';
}

bool address_is_name(const char *text)
{
    struct parts parts;
    struct error error;

    return strncmp(text, "unix:", 5) != 0 && split(text, &parts, &error) && is_name(&parts);
}

static size_t parse_any(const char *text, const char *prefix, bool names, struct address *addresses,
                        size_t capacity, struct error *error)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct parts parts;

    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, prefix, addresses, error) ? 1 : 0;
    if (!split(text, &parts, error))
        return 0;
    if (parts.brackets) {
        size_t count = look_up(text, &parts, AF_INET6, AI_NUMERICHOST, addresses, capacity, error);
        if (count == 0)
            error_set(error, "\"%s\": \"%s\" is not an IPv6 address", text, parts.host);
        return count;
    }
    const char *host = strcmp(parts.host, "*") == 0 ? "0.0.0.0" : parts.host;
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        unsigned port = 0;
        sscanf(parts.port, "%u", &port);
        v4.sin_port = htons((uint16_t)port);
        store(addresses, &v4, sizeof(v4));
        return 1;
    }
    if (names && is_name(&parts))
        return look_up(text, &parts, AF_UNSPEC, 0, addresses, capacity, error);
    error_set(error, "\"%s\": \"%s\" is not an IPv4 address%s", text, parts.host,
              is_name(&parts) ? "; host names are not looked up here" : "");
    return 0;
}

bool address_parse(const char *text, const char *prefix, bool names, struct address *address,
                   struct error *error)
{
    return parse_any(text, prefix, names, address, 1, error) == 1;
}

bool address_check(const char *text, struct error *error)
{
    struct address address;
    struct parts parts;

    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, NULL, &address, error);
    return split(text, &parts, error);
}

size_t address_resolve(const char *text, struct address *addresses, size_t capacity,
                       struct error *error)
{
    return parse_any(text, NULL, true, addresses, capacity, error);
}

/* ---- writing ---- */

static void format_unix(const struct sockaddr *socket, socklen_t size, char text[ADDRESS_TEXT_SIZE])
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1] = "";
    size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t length = size > start ? size - start : 0;

    if (length >= sizeof(path))
        length = sizeof(path) - 1;
    memcpy(path, (const char *)socket + start, length);
    /* An abstract name begins with a NUL and is no string (unix(7)); it is shown with "@". */
    bool abstract = length > 0 && path[0] == '\0';
    for (size_t i = 0; i < length; i++) {
        bool control = (unsigned char)path[i] < ' ' || path[i] == 0x7f;
        if (abstract && i == 0)
            path[i] = '@';
        else if (!abstract && path[i] == '\0')
            break;
        else if (abstract && control)
            path[i] = '?';
    }
    snprintf(text, ADDRESS_TEXT_SIZE, "unix:%s", path);
}

/* For when getnameinfo(3) has no memory: by its text a listener is known. Only the interface of a
 * link-local address is left out. */
static void format_plainly(const struct sockaddr *socket, char host[HOST_SIZE],
                           char port[PORT_SIZE])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)socket;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)socket;

    if (socket->sa_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, host, HOST_SIZE);
        snprintf(port, PORT_SIZE, "%u", ntohs(v4->sin_port));
    } else if (socket->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, host, HOST_SIZE);
        snprintf(port, PORT_SIZE, "%u", ntohs(v6->sin6_port));
    }
}

void address_format(const struct sockaddr *socket, socklen_t size, char text[ADDRESS_TEXT_SIZE])
{
    char host[HOST_SIZE] = "?", port[PORT_SIZE] = "?";

    if (size < sizeof(socket->sa_family)) { /* of an unnamed Unix socket (unix(7)) */
        snprintf(text, ADDRESS_TEXT_SIZE, "unix:");
        return;
    }
    if (socket->sa_family == AF_UNIX) {
        format_unix(socket, size, text);
        return;
    }
    bool v6 = socket->sa_family == AF_INET6;
    if (getnameinfo(socket, size, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        format_plainly(socket, host, port);
    snprintf(text, ADDRESS_TEXT_SIZE, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

bool address_is_whole(const char *text)
{
    bool relative = strncmp(text, "unix:", 5) == 0 && text[5] != '/';
    struct address address;
    struct error error;

    return !relative && strlen(text) < ADDRESS_TEXT_SIZE && !address_is_name(text) &&
           address_parse(text, NULL, false, &address, &error) && strcmp(address.text, text) == 0;
}
