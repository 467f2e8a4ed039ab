/* The directory: which servers a registry or DNS knows, by service, in memory that all processes of
 * a server share. The process `pillion: registry` alone writes it; workers and the master map it
 * read-only, and read it without locks, so that nothing which a call needs goes through another
 * process. It outlives the registry process, reloads and upgrades.
 *
 * A service is known by the text that a configuration gives for it: "registry:/pillion/shop",
 * "registry:/pillion/" (every service below it) or "srv:_pillion._tcp.shop.example". The writer
 * publishes all services at once, into the half that nobody reads; a reader copies what it wants,
 * and copies again when the writer was faster. */
#ifndef PILLION_NET_DIRECTORY_H
#define PILLION_NET_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/directory_format.h" /* the limits */

/* A method that instances offer. */
struct directory_method {
    const char *name;
    const char *about; /* a JSON object: {"summary","title","params","result","idempotent",…} */
};

/* Methods that some instances of a service have in common: many instances share one set. */
struct directory_methods {
    const struct directory_method *items;
    size_t count;
};

struct directory_instance {
    const char *address; /* as `upstream` takes it: 10.0.0.1:8080, [::1]:8080, unix:PATH */
    const char *service; /* where it is registered: "/pillion/shop"; "" of DNS */
    uint32_t weight;     /* 1 to 1000; 100 is usual */
    uint32_t methods;    /* index of its set of methods; UINT32_MAX: not known, so any */
    uint64_t since_ms;   /* when this directory had it first (CLOCK_REALTIME, since 1970): for slow
                            start; 0: it was there in the first answer */
};

struct directory_service {
    const char *name; /* the text of the configuration */
    bool known; /* false: no answer has come yet, so that nobody knows whether there are any */
    const struct directory_instance *instances;
    size_t count;
    const struct directory_methods *sets;
    size_t set_count;
};

struct directory;

/* In the master, once: makes the memory, which takes `size` bytes of addresses and as many pages as
 * are used. Returns a close-on-exec descriptor, or -1 with the reason. */
int directory_make(size_t size, struct error *error);

/* True when the memory is a directory that this binary can read; false with errno, 0 where it is
 * none. */
bool directory_known(int fd);

/* Maps it. `writes`: in the registry process alone. Others map it for reading, and cannot make that
 * mapping writable; the master does so once, and its children inherit the mapping and no
 * descriptor. NULL with the reason. */
struct directory *directory_map(int fd, bool writes, struct error *error);
void directory_unmap(struct directory *directory);

/* How many bytes a service takes, and how many there are for all of them. */
uint64_t directory_size(const struct directory_service *service);
uint64_t directory_room(const struct directory *directory);

/* Publishes all services in place of those that were there. One that is as it was keeps its
 * version. False when they do not fit: then what was there stays. In the registry process alone. */
bool directory_publish(struct directory *directory, const struct directory_service *services,
                       size_t count, struct error *error);

/* The writer tells how it stands with its source, which is no part of the services: since when it
 * has no contact with it (CLOCK_MONOTONIC, ns; 0: it has), for logs, metrics and pages. */
void directory_contact(struct directory *directory, uint64_t lost_ns);
uint64_t directory_lost_since(const struct directory *directory);

/* Raised with each publication that changes this service; 0: the directory has no such service, or
 * nobody knows yet whether it has servers. One load of a word, and a search for the name when the
 * service was not there before: cheap enough for every call. `slot` is the caller's, 0 at first,
 * and of this service alone. */
uint64_t directory_version(const struct directory *directory, const char *name, uint32_t *slot);

/* Raised with each publication: no version has changed while this has not. One load of a word. */
uint64_t directory_told(const struct directory *directory);

/* Copies a service. The caller frees the result with free(3): one block. NULL when the directory
 * has no such service, without memory, and when what is there makes no sense. `version` (or NULL)
 * is that of the copy, as directory_version tells it. */
struct directory_service *directory_read(const struct directory *directory, const char *name,
                                         uint64_t *version);

#endif
