/* The directory: publishing, in the one process that writes it. See directory.h. */
#include <string.h>

#include "net/directory.h"

/* ---- The size of a record ---- */

static uint64_t size_of_strings(const struct directory_service *service)
{
    uint64_t size = 0;

    for (size_t i = 0; i < service->count; i++) {
        const struct directory_instance *it = &service->instances[i];
        size += strlen(it->address) + 1;
        if (i == 0 || strcmp(it->service, it[-1].service) != 0)
            size += strlen(it->service) + 1;
    }
    for (size_t i = 0; i < service->set_count; i++) {
        for (size_t k = 0; k < service->sets[i].count; k++)
            size += strlen(service->sets[i].items[k].name) + 1 +
                    strlen(service->sets[i].items[k].about) + 1;
    }
    return size + 1; /* the last byte is NUL, also where there is no string */
}

static uint64_t size_of_record(const struct directory_service *service)
{
    uint64_t methods = 0;

    for (size_t i = 0; i < service->set_count; i++)
        methods += service->sets[i].count;
    return sizeof(struct directory_record) +
           service->count * (uint64_t)sizeof(struct directory_stored_instance) +
           service->set_count * (uint64_t)sizeof(struct directory_stored_set) +
           methods * sizeof(struct directory_stored_method) + size_of_strings(service);
}

/* ---- Writing a record ---- */

struct packing {
    char *record;
    uint32_t end; /* of what is written of the strings */
};

static uint32_t put_string(struct packing *packing, const char *string)
{
    size_t size = strlen(string) + 1;
    uint32_t at = packing->end;

    memcpy(packing->record + at, string, size);
    packing->end += (uint32_t)size;
    return at;
}

static void put_instances(struct packing *packing, const struct directory_service *service,
                          struct directory_stored_instance *stored)
{
    for (size_t i = 0; i < service->count; i++) {
        const struct directory_instance *it = &service->instances[i];
        bool same = i > 0 && strcmp(it->service, it[-1].service) == 0;
        stored[i] = (struct directory_stored_instance){
            .since_ms = it->since_ms,
            .address = put_string(packing, it->address),
            .service = same ? stored[i - 1].service : put_string(packing, it->service),
            .weight = it->weight,
            .methods = it->methods < service->set_count ? it->methods : UINT32_MAX,
        };
    }
}

/* Writes the record, of which size_of_record has told the size. */
static void put_record(char *record, uint32_t size, const struct directory_service *service)
{
    struct directory_record *head = (void *)record;
    struct directory_stored_instance *instances = (void *)(head + 1);
    struct directory_stored_set *sets = (void *)(instances + service->count);
    struct directory_stored_method *methods = (void *)(sets + service->set_count);
    struct packing packing = {record, 0};
    uint32_t count = 0;

    for (size_t i = 0; i < service->set_count; i++) {
        sets[i] = (struct directory_stored_set){count, (uint32_t)service->sets[i].count};
        count += sets[i].count;
    }
    *head = (struct directory_record){service->known, (uint32_t)service->count,
                                      (uint32_t)service->set_count, count};
    packing.end = (uint32_t)((char *)(methods + count) - record);
    put_instances(&packing, service, instances);
    for (size_t i = 0; i < service->set_count; i++) {
        for (size_t k = 0; k < service->sets[i].count; k++) {
            const struct directory_method *it = &service->sets[i].items[k];
            methods->name = put_string(&packing, it->name);
            methods->about = put_string(&packing, it->about);
            methods++;
        }
    }
    record[size - 1] = '\0';
}

/* ---- Slots ---- */

/* Gives the slot away, or frees it (`name` is ""): readers that know it look for their service
 * anew, before and after. */
static void pass_slot(struct directory_slot *slot, const char *name)
{
    const uint64_t hand = UINT64_C(1) << DIRECTORY_NUMBER_BITS;
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);

    word = (word & ~DIRECTORY_NUMBER_MASK) + hand;
    atomic_store_explicit(&slot->word, word, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    memset(slot->name, 0, sizeof(slot->name));
    memcpy(slot->name, name, strlen(name));
    atomic_store_explicit(&slot->word, word + hand, memory_order_release);
}

/* The index of the service's slot, given now if it has none. There are enough: free_slots has left
 * none but those of the publication before, and of this one. */
static uint32_t take_slot(const struct directory *directory, const char *name)
{
    struct directory_slot *slots = directory->head->slots;
    uint32_t unused = 0;

    for (uint32_t i = DIRECTORY_SLOTS; i-- > 0;) {
        if (slots[i].name[0] == '\0')
            unused = i;
        else if (strncmp(slots[i].name, name, DIRECTORY_NAME_MAX) == 0)
            return i;
    }
    pass_slot(&slots[unused], name);
    return unused;
}

static bool is_entry(const struct directory_half *half, const char *name)
{
    for (uint32_t i = 0; i < half->count && i < DIRECTORY_SERVICES_MAX; i++) {
        if (strncmp(half->entries[i].name, name, DIRECTORY_NAME_MAX) == 0)
            return true;
    }
    return false;
}

static bool is_one_of(const char *name, const struct directory_service *services, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strncmp(services[i].name, name, DIRECTORY_NAME_MAX) == 0)
            return true;
    }
    return false;
}

/* Frees the slots of services that are not in this half. Of one that died in the middle, there may
 * be more than those of the former publication. */
static void free_slots(const struct directory *directory, const struct directory_half *half)
{
    for (uint32_t i = 0; i < DIRECTORY_SLOTS; i++) {
        struct directory_slot *slot = &directory->head->slots[i];
        if (slot->name[0] != '\0' && !is_entry(half, slot->name))
            pass_slot(slot, "");
    }
}

/* Tells readers of what has been published. */
static void tell_versions(const struct directory *directory, const struct directory_half *half)
{
    for (uint32_t i = 0; i < half->count; i++) {
        const struct directory_entry *it = &half->entries[i];
        atomic_store_explicit(&directory->head->slots[it->slot].word, it->version,
                              memory_order_release);
    }
}

/* ---- Publishing ---- */

/* The version of a service in the publication `number`: the one that it has, unless this changes
 * it. A former writer may have died before it told readers of its last publication, or may have
 * written anything: then the service has changed. */
static uint64_t version_for(const struct directory *directory, const struct directory_half *now,
                            const struct directory_entry *entry, bool known, uint64_t number)
{
    const struct directory_half *former = directory_half_of(directory, number - 1);
    const char *record = (const char *)now + entry->at;
    uint64_t word =
        atomic_load_explicit(&directory->head->slots[entry->slot].word, memory_order_relaxed);

    if (!known)
        return word & ~DIRECTORY_NUMBER_MASK;
    for (uint32_t i = 0; number > 1 && i < former->count && i < DIRECTORY_SERVICES_MAX; i++) {
        const struct directory_entry *it = &former->entries[i];
        if (it->slot == entry->slot && it->version == word && it->size == entry->size &&
            it->at <= directory->half_size - it->size &&
            strncmp(it->name, entry->name, DIRECTORY_NAME_MAX) == 0 &&
            memcmp((const char *)former + it->at, record, it->size) == 0)
            return word;
    }
    return (word & ~DIRECTORY_NUMBER_MASK) | (number & DIRECTORY_NUMBER_MASK);
}

static uint64_t rounded(uint64_t size)
{
    return (size + 7) & ~UINT64_C(7);
}

uint64_t directory_size(const struct directory_service *service)
{
    return rounded(size_of_record(service));
}

uint64_t directory_room(const struct directory *directory)
{
    return directory->half_size - sizeof(struct directory_half);
}

static bool services_fit(const struct directory *directory,
                         const struct directory_service *services, size_t count,
                         struct error *error)
{
    uint64_t size = sizeof(struct directory_half);

    if (count > DIRECTORY_SERVICES_MAX)
        return error_set(error, "the directory has room for %u services, and these are %zu",
                         DIRECTORY_SERVICES_MAX, count);
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(services[i].name);
        if (length == 0 || length >= DIRECTORY_NAME_MAX)
            return error_set(error, "a service's name has 1 to %u bytes: \"%.40s…\" has %zu",
                             DIRECTORY_NAME_MAX - 1, services[i].name, length);
        if (is_one_of(services[i].name, services, i))
            return error_set(error, "the service \"%s\" is there twice", services[i].name);
        size += directory_size(&services[i]);
    }
    if (size > directory->half_size)
        return error_set(error,
                         "the directory has room for %u bytes, and these %zu services take %llu",
                         directory->half_size, count, (unsigned long long)size);
    return true;
}

bool directory_publish(struct directory *directory, const struct directory_service *services,
                       size_t count, struct error *error)
{
    struct directory_head *head = directory->head;

    if (!services_fit(directory, services, count, error))
        return false;
    uint64_t number = atomic_load_explicit(&head->published, memory_order_relaxed) + 1;
    struct directory_half *half = directory_half_of(directory, number);
    uint64_t at = sizeof(*half);

    free_slots(directory, directory_half_of(directory, number - 1));
    atomic_store_explicit(&head->begun, number, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    half->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct directory_entry *entry = &half->entries[i];
        memset(entry, 0, sizeof(*entry));
        memcpy(entry->name, services[i].name, strlen(services[i].name));
        entry->at = (uint32_t)at;
        entry->size = (uint32_t)size_of_record(&services[i]);
        entry->slot = take_slot(directory, services[i].name);
        put_record((char *)half + at, entry->size, &services[i]);
        entry->version = version_for(directory, half, entry, services[i].known, number);
        at += rounded(entry->size);
    }
    atomic_store_explicit(&head->published, number, memory_order_release);
    tell_versions(directory, half);
    free_slots(directory, half);
    atomic_store_explicit(&head->told, number, memory_order_release);
    return true;
}

void directory_contact(struct directory *directory, uint64_t lost_ns)
{
    atomic_store_explicit(&directory->head->lost_ns, lost_ns, memory_order_relaxed);
}
