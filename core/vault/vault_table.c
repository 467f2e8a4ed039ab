/* A hash table with open addressing and linear probing. See vault_table.h. */
#include "vault/vault_table.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/memory.h"

static uint32_t home(const struct vault_table *table, uint64_t id)
{
    return (uint32_t)((id * 0x9e3779b97f4a7c15u) >> 32) & table->mask;
}

/* The index of the id, or the free one where it would go. */
static uint32_t index_of(const struct vault_table *table, uint64_t id)
{
    uint32_t at = home(table, id);
    while (table->entries[at].id != 0 && table->entries[at].id != id)
        at = (at + 1) & table->mask;
    return at;
}

struct vault_entry *vault_table_find(const struct vault_table *table, uint64_t id)
{
    if (table->entries == NULL)
        return NULL;
    struct vault_entry *entry = &table->entries[index_of(table, id)];
    return entry->id == 0 ? NULL : entry;
}

static void grow(struct vault_table *table)
{
    struct vault_table old = *table;
    uint32_t size = old.entries == NULL ? 64 : (old.mask + 1) * 2;

    table->entries = must_zalloc(size * sizeof(*table->entries));
    table->mask = size - 1;
    for (uint32_t i = 0; old.entries != NULL && i <= old.mask; i++) {
        if (old.entries[i].id != 0)
            table->entries[index_of(table, old.entries[i].id)] = old.entries[i];
    }
    free(old.entries);
}

void vault_table_put(struct vault_table *table, uint64_t id, int fd, uint32_t owner)
{
    /* At most three quarters full. */
    if (table->entries == NULL || (uint64_t)table->count * 4 >= ((uint64_t)table->mask + 1) * 3)
        grow(table);
    struct vault_entry *entry = &table->entries[index_of(table, id)];
    if (entry->id == 0)
        table->count++;
    else
        descriptor_close(entry->fd);
    *entry = (struct vault_entry){.id = id, .fd = fd, .owner = owner};
}

/* Empties an entry, and moves up the entries behind it that probing would not find any more. */
static void vacate(struct vault_table *table, uint32_t hole)
{
    uint32_t at = hole;

    table->count--;
    for (;;) {
        table->entries[hole].id = 0;
        do {
            at = (at + 1) & table->mask;
            if (table->entries[at].id == 0)
                return;
            /* An entry may stay when its home lies behind the hole, counted around. */
        } while (((at - home(table, table->entries[at].id)) & table->mask) <
                 ((at - hole) & table->mask));
        table->entries[hole] = table->entries[at];
        hole = at;
    }
}

bool vault_table_drop(struct vault_table *table, uint64_t id)
{
    struct vault_entry *entry = vault_table_find(table, id);

    if (entry == NULL)
        return false;
    descriptor_close(entry->fd);
    vacate(table, (uint32_t)(entry - table->entries));
    return true;
}

uint32_t vault_table_retire(struct vault_table *table, uint32_t owner, bool end)
{
    uint32_t count = 0;

    for (uint32_t i = 0; table->entries != NULL && i <= table->mask;) {
        struct vault_entry *entry = &table->entries[i];
        if (entry->id == 0 || entry->owner != owner) {
            i++;
            continue;
        }
        /* No worker has taken the connection over: it ends, and the client sees that. */
        if (end)
            shutdown(entry->fd, SHUT_RDWR);
        descriptor_close(entry->fd);
        vacate(table, i); /* another entry may stand at i now */
        count++;
    }
    return count;
}
