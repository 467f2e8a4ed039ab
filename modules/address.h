/* Addresses of the servers that modules connect to. Only literal addresses: looking a name up would
 * block the worker. */
#ifndef PILLION_MODULES_ADDRESS_H
#define PILLION_MODULES_ADDRESS_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Takes "127.0.0.1:6379", "[::1]:6379" or "unix:PATH" apart. For "unix:PATH", `host` is the path
 * and `port` 0. False when `text` has none of these forms, or does not fit. */
static inline bool address_read(const char *text, char *host, size_t size, int *port)
{
    const char *colon = strrchr(text, ':');
    struct in6_addr address;
    char rest;

    *port = 0;
    if (strncmp(text, "unix:", 5) == 0)
        return (size_t)snprintf(host, size, "%s", text + 5) < size && host[0] != '\0';
    if (colon == NULL || sscanf(colon + 1, "%d%c", port, &rest) != 1 || *port < 1 || *port > 65535)
        return false;
    size_t length = (size_t)(colon - text);
    if (length > 1 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    if (length >= size)
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

#endif
