/* See servers.h. */
#include "servers.h"

#include <stdlib.h>
#include <string.h>

#include "upstream.h"

#define WEIGHT      "weight="
#define WEIGHT_MOST 100

bool server_is_weight(const char *word)
{
    return strncmp(word, WEIGHT, sizeof(WEIGHT) - 1) == 0;
}

/* 0 when it is no weight. */
static uint32_t weight_read(const char *word)
{
    const char *digits = word + sizeof(WEIGHT) - 1;
    char *end;
    long weight = strtol(digits, &end, 10);
    bool valid = *digits >= '1' && *digits <= '9' && *end == '\0' && weight <= WEIGHT_MOST;

    return valid ? (uint32_t)weight : 0;
}

static int weight_check(const pillion_list *servers, size_t at, pillion_error_text *error)
{
    const char *word = servers->items[at];

    if (at == 0 || server_is_weight(servers->items[at - 1]))
        return pillion_error(error, "\"%s\" follows no server: write 127.0.0.1:8080 %s", word,
                             word);
    if (pillion_service_is(servers->items[at - 1]))
        return pillion_error(
            error,
            "\"%s\" follows %s, whose servers have weights of their own, from where "
            "they are registered",
            word, servers->items[at - 1]);
    if (weight_read(word) == 0)
        return pillion_error(
            error,
            "\"%s\" of %s is no weight: write a whole number from 1 to %d, such as "
            "weight=2 for a server that is to get twice as many requests",
            word, servers->items[at - 1], WEIGHT_MOST);
    return 0;
}

int servers_check(const pillion_list *servers, pillion_error_text *error)
{
    for (size_t i = 0; i < servers->count; i++) {
        const char *word = servers->items[i];
        if (server_is_weight(word)) {
            if (weight_check(servers, i, error) != 0)
                return -1;
            continue;
        }
        if (!upstream_is(word) && !pillion_service_is(word))
            return pillion_error(error,
                                 "\"%s\" is no address of a server: write 127.0.0.1:8080, "
                                 "[::1]:8080 or unix:PATH (at most 107 bytes), or a service, as "
                                 "registry:/pillion/shop or srv:_pillion._tcp.shop.example",
                                 word);
        for (size_t before = 0; before < i; before++) {
            if (strcmp(servers->items[before], word) == 0)
                return pillion_error(error, "the upstream \"%s\" appears twice", word);
        }
    }
    return 0;
}

uint32_t server_weight(const pillion_list *servers, size_t at)
{
    bool weighs = at + 1 < servers->count && server_is_weight(servers->items[at + 1]);
    return weighs ? weight_read(servers->items[at + 1]) * WEIGHT_USUAL : WEIGHT_USUAL;
}
