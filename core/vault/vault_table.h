/* The vault's memory: descriptors by connection id, each with the worker that owns it. It owns the
 * descriptors, and closes them when entries are dropped, replaced or retired. It grows as needed,
 * and never shrinks. */
#ifndef PILLION_VAULT_VAULT_TABLE_H
#define PILLION_VAULT_VAULT_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct vault_entry {
    uint64_t id; /* 0: free */
    int fd;
    uint32_t owner; /* serial number of a worker process */
};

/* Starts as `{0}`. */
struct vault_table {
    struct vault_entry *entries;
    uint32_t mask; /* size - 1 */
    uint32_t count;
};

/* The entry of an id, or NULL. Valid until the table is next changed. */
struct vault_entry *vault_table_find(const struct vault_table *table, uint64_t id);

/* Adds an entry; an older descriptor of the same id is closed. */
void vault_table_put(struct vault_table *table, uint64_t id, int fd, uint32_t owner);

/* Closes the id's descriptor and removes the entry. True when the id was there. */
bool vault_table_drop(struct vault_table *table, uint64_t id);

/* Closes and removes all entries of `owner`; with `end`, also shuts their connections down, which
 * ends them in other processes, too. Returns how many entries there were. */
uint32_t vault_table_retire(struct vault_table *table, uint32_t owner, bool end);

#endif
