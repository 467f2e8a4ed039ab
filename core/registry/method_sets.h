/* Sets of methods that servers offer. Servers of one kind offer the same, and share one set: a
 * thousand records with ten thousand methods take the memory of ten. In the registry process. */
#ifndef PILLION_REGISTRY_METHOD_SETS_H
#define PILLION_REGISTRY_METHOD_SETS_H

#include <cjson/cJSON.h>

#include "net/directory.h"

#define METHOD_SETS_MAX       1024u                /* different ones */
#define METHOD_SETS_BYTES_MAX (UINT64_C(96) << 20) /* of their texts together */

struct method_set {
    struct directory_methods methods;
    char *text;    /* all of it as JSON, by which sets are compared */
    uint64_t size; /* bytes of the text */
    uint32_t hash;
    uint32_t uses;
    uint32_t index; /* the publisher's */
    struct method_set *next;
};

/* The set of a record's methods: each has a name of 1 to 255 printable bytes, which is nobody
 * else's in the set. Methods without one are left out. NULL when there are too many sets, or bytes
 * of them. `array` is left as it is but for its methods' names, which are taken out. */
struct method_set *method_sets_take(cJSON *array);

/* Gives it back. NULL may be given. */
void method_sets_release(struct method_set *set);

#endif
