/* How the directory's bytes are laid out (directory.h): for the files that read and write them, and
 * for tests that damage them.
 *
 * At first a head with a slot for each service, then two halves. A half has an index of its
 * services, and for each of them a record: counts, arrays and strings, which point at each other by
 * their distance from the record's start. So a record is copied at once, and is checked where
 * nobody else can change it.
 *
 * Publication n goes to the half n % 2. The writer stores n in `begun` before it touches the half,
 * and in `published` when all is there. A copy of publication n is whole as long as n + 2 has not
 * begun; a writer that died in the middle has begun what it has not published, and the half that
 * readers look at is whole. */
#ifndef PILLION_NET_DIRECTORY_FORMAT_H
#define PILLION_NET_DIRECTORY_FORMAT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIRECTORY_SERVICES_MAX 128u
#define DIRECTORY_NAME_MAX     256u /* of a service's text, with its NUL */

#define DIRECTORY_MAGIC  0x52494450u                  /* "PDIR" */
#define DIRECTORY_LAYOUT 1u                           /* raised whenever a structure here changes */
#define DIRECTORY_HALVES 131072u                      /* where the halves begin */
#define DIRECTORY_SLOTS  (2 * DIRECTORY_SERVICES_MAX) /* of one publication, and of the next */

/* The word of a slot: its number is that of the publication which has changed the service last, 0
 * while nobody knows whether it has servers; above it counts how often the slot has changed hands,
 * so that a reader's slot is never that of another service. */
#define DIRECTORY_NUMBER_BITS 40u
#define DIRECTORY_NUMBER_MASK ((UINT64_C(1) << DIRECTORY_NUMBER_BITS) - 1)

struct directory_slot {
    _Atomic uint64_t word;
    char name[DIRECTORY_NAME_MAX]; /* "": free */
};

struct directory_head {
    uint32_t magic, layout;
    uint64_t size; /* of the whole file */
    _Atomic uint64_t begun, published;
    _Atomic uint64_t told;    /* the publication of which all slots tell */
    _Atomic uint64_t lost_ns; /* directory_contact */
    struct directory_slot slots[DIRECTORY_SLOTS];
};
_Static_assert(sizeof(struct directory_head) <= DIRECTORY_HALVES,
               "the head ends before the halves");

struct directory_entry {
    char name[DIRECTORY_NAME_MAX];
    uint64_t version; /* the word of its slot */
    uint32_t slot;    /* index of it */
    uint32_t at;      /* of its record, from the start of its half */
    uint32_t size;
    uint32_t unused;
};

struct directory_half {
    uint32_t count;
    uint32_t unused;
    struct directory_entry entries[DIRECTORY_SERVICES_MAX];
};

/* Behind it: instances, sets, methods, strings. The last byte is NUL. */
struct directory_record {
    uint32_t known;
    uint32_t instances, sets, methods;
};

struct directory_stored_instance {
    uint64_t since_ms;
    uint32_t address, service; /* strings */
    uint32_t weight, methods;
};

struct directory_stored_set {
    uint32_t first, count; /* of all methods */
};

struct directory_stored_method {
    uint32_t name, about; /* strings */
};

#define DIRECTORY_INSTANCES_AT ((uint32_t)sizeof(struct directory_record))

/* Where it is mapped. */
struct directory {
    struct directory_head *head;
    size_t size;
    uint32_t half_size;
    bool writes;
};

static inline struct directory_half *directory_half_of(const struct directory *directory,
                                                       uint64_t publication)
{
    return (struct directory_half *)(void *)((char *)directory->head + DIRECTORY_HALVES +
                                             (publication % 2) * (uint64_t)directory->half_size);
}

#endif
