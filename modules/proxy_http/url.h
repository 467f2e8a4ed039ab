/* URLs of upstreams. */
#ifndef PROXY_HTTP_URL_H
#define PROXY_HTTP_URL_H

#include <pillion/module.h>

/* Checks a list of URLs. Returns 0, or as pillion_error. */
int urls_check(const pillion_list *urls, pillion_error_text *error);

/* Writes the part of a checked URL that logs may show: scheme, host and port, without a path, which
 * may hold a key. False when memory ran out. */
bool url_name(const char *url, char *name, size_t size);

/* True when the host of a checked URL is a name, which has to be looked up. */
bool url_is_named(const char *url);

#endif
