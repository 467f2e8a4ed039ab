/* The servers that a registry has, by their keys: what the watches of the registry process have
 * told, in the order of the keys. Records are checked here (record.h); one that makes no sense is
 * left out, logged seldom, and counted. In the registry process. */
#ifndef PILLION_REGISTRY_INSTANCES_H
#define PILLION_REGISTRY_INSTANCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "registry/method_sets.h"
#include "registry/service_counts.h"

/* More are left out, and at first those of the services that have the most. */
#define INSTANCES_MAX 20000u

struct instance {
    char *key;
    struct service_count *of;
    const char *service; /* its name, the key without its address: "/pillion/shop" */
    const char *address; /* the end of the key */
    uint32_t weight;
    struct method_set *set; /* NULL: not known */
    uint64_t since_ms;      /* as in directory.h */
    uint64_t told;          /* the number of the snapshot, or later, that has told of it */
    bool lost;              /* the registry does not have it: it is kept (instances_keep) */
};

/* A key has this value. `since_ms` is for one that was not there before. */
void instances_put(struct bytes key, struct bytes value, uint64_t since_ms);

/* It is gone. */
void instances_remove(struct bytes key);

/* All keys with the prefix that are not put until instances_end are gone. */
void instances_begin(void);
void instances_end(const char *prefix);

/* Those with the prefix are gone at once. */
void instances_forget(const char *prefix);

/* From now on, those that are gone are kept until it is `on` no more; but those that are put
 * meanwhile are there as any other. False: nothing has changed. */
bool instances_keep(bool on);

/* The first one whose key begins with the prefix, and how many there are: they follow each other.
 * Valid until the next change. */
struct instance *const *instances_below(const char *prefix, size_t *count);

/* How many records made no sense so far. */
uint64_t instances_bad(void);

#endif
