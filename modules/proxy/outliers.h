/* Servers that do much worse than the others of their group are left out for a while. */
#ifndef PROXY_OUTLIERS_H
#define PROXY_OUTLIERS_H

#include "upstream.h"

/* A request is sent: has the groups judged within a second, and then each second while requests are
 * sent or servers are left out. */
void outliers_watch(struct proxy *proxy);

#endif
