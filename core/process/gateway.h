/* What `proxy_all` stands for: the methods that servers of a registry offer (net/directory.h), as
 * `method` statements of the configuration. They are made each time when a server reads its
 * configuration, as text with a source of its own, and parsed as any other; so everything that a
 * configuration's methods have, they have. Master only; `pillion -t` and -T know no registry, and
 * see no such method. */
#ifndef PILLION_PROCESS_GATEWAY_H
#define PILLION_PROCESS_GATEWAY_H

#include "conf/settings.h"
#include "net/directory.h"
#include "rpc/board.h"

/* True when some server block has a `proxy_all`. */
bool gateway_wanted(const struct settings *settings);

/* Calls `each` with the name of the service of every `proxy_all`. */
void gateway_services(const struct settings *settings,
                      void (*each)(const char *service, void *data), void *data);

/* Which methods are found now for the `proxy_all` of `settings`: a line for each, in a fixed order.
 * Texts that are equal stand for the same methods, with the same descriptions. False when nothing
 * is known of some service yet. Workers may call this and gateway_only_lacks, too. */
bool gateway_look(const struct settings *settings, const struct directory *directory,
                  struct text *found);

/* True when `now` has no line that `before` has not: methods are gone, and none has come or
 * changed. */
bool gateway_only_lacks(const struct text *before, const struct text *now);

/* Adds the statements to the server blocks of the tree that `settings` were read from: read them
 * anew. Names that the blocks have are left alone. What cannot be added is logged: names that two
 * services offer, that are none, or for which `board` has no room (NULL: the board is empty).
 * Returns how many were added. gateway_take_back takes them out of the tree again. */
size_t gateway_add(struct conf_tree *tree, const struct settings *settings,
                   const struct directory *directory, const struct board *board);
void gateway_take_back(struct conf_tree *tree);

#endif
