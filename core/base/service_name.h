/* The texts by which a configuration names services that a registry or DNS knows:
 * "registry:/pillion/shop", "registry:/pillion/" (every service below it), and
 * "srv:_pillion._tcp.shop.example" (RFC 2782). */
#ifndef PILLION_BASE_SERVICE_NAME_H
#define PILLION_BASE_SERVICE_NAME_H

#include <stdbool.h>

#include "base/error.h"

#define SERVICE_NAME_MAX 255u /* bytes */

/* True for a text that is meant to be one, however wrong the rest of it is. */
bool service_name_is(const char *text);

/* True for one that goes to the registry, and not to DNS. */
bool service_name_is_registered(const char *text);

/* False with the reason when it is none, or not a right one. */
bool service_name_check(const char *text, struct error *error);

/* False with the reason when "registry:" and the path is no name of one service: a registry may
 * have keys that no configuration can name. */
bool service_path_check(const char *path, struct error *error);

#endif
