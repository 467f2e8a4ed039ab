/* The servers of a group as the configuration has them: addresses, each with its weight behind it
 * if it has one, and names of services. */
#ifndef PROXY_SERVERS_H
#define PROXY_SERVERS_H

#include <pillion/module.h>

#define WEIGHT_USUAL 100u /* of a server that is given none, and of registries */

/* Checks a list of servers. Returns 0, or as pillion_error. */
int servers_check(const pillion_list *servers, pillion_error_text *error);

/* True for the weight of the server before, which is no server itself. */
bool server_is_weight(const char *word);

/* The weight of the server at this place of the list. */
uint32_t server_weight(const pillion_list *servers, size_t at);

#endif
