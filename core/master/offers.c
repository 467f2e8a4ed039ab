/* The offers. See offers.h. */
#include "master/offers.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/version.h"
#include "master/state.h"

#define FORMER_MAX 1024u /* keys; those that are too many end with the lease */

static struct {
    struct registry_offer *items;
    size_t count;
    char *prefix; /* of their keys; "" without offers */
    char **former;
    size_t former_count;
    char started[CLOCK_TEXT_SIZE]; /* the server; "" : not known yet */
    /* What the probe of `told_of` has said, by server block. */
    struct text *told;
    size_t told_count;
    uint64_t told_of;
} offers;

/* ---- What probes tell ---- */

static void forget_told(void)
{
    for (size_t i = 0; i < offers.told_count; i++)
        text_free(&offers.told[i]);
    free(offers.told);
    offers.told = NULL;
    offers.told_count = 0;
}

void offers_told(uint64_t generation, const struct message *message)
{
    size_t server = (size_t)message->number;

    if (generation != offers.told_of)
        forget_told();
    offers.told_of = generation;
    if (server >= 4096) /* only a module can have said that */
        return;
    if (server >= offers.told_count) {
        offers.told = must_realloc(offers.told, (server + 1) * sizeof(*offers.told));
        memset(&offers.told[offers.told_count], 0,
               (server + 1 - offers.told_count) * sizeof(*offers.told));
        offers.told_count = server + 1;
    }
    struct text *text = &offers.told[server];
    if (message->serial != 0)
        text_free(text);
    if (text->size + strlen(message->text) <= OFFERS_METHODS_MAX)
        text_append_string(text, message->text);
}

static const char *told_of(const struct generation *generation, unsigned server)
{
    bool known = offers.told_of == generation->number && server < offers.told_count;

    return known ? text_string(&offers.told[server]) : "";
}

/* ---- Former keys ---- */

static void add_former(const char *prefix, const char *address)
{
    if (offers.former_count == FORMER_MAX)
        return;
    offers.former = must_realloc(offers.former, (offers.former_count + 1) * sizeof(*offers.former));
    offers.former[offers.former_count++] = must_printf("%s/%s", prefix, address);
}

/* A key that is registered again is no former one. */
static void keep_apart(void)
{
    size_t left = 0;

    for (size_t i = 0; i < offers.former_count; i++) {
        bool again = false;
        for (size_t o = 0; o < offers.count && !again; o++) {
            char *key = must_printf("%s/%s", offers.prefix, offers.items[o].address);
            again = strcmp(key, offers.former[i]) == 0;
            free(key);
        }
        if (again)
            free(offers.former[i]);
        else
            offers.former[left++] = offers.former[i];
    }
    offers.former_count = left;
}

void offers_forget_former(void)
{
    for (size_t i = 0; i < offers.former_count; i++)
        free(offers.former[i]);
    offers.former_count = 0;
}

/* ---- Offers ---- */

static void free_items(struct registry_offer *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)(uintptr_t)items[i].address);
        free((char *)(uintptr_t)items[i].methods);
    }
    free(items);
}

static const struct registry_offer *find(const char *address)
{
    for (size_t i = 0; i < offers.count; i++) {
        if (strcmp(offers.items[i].address, address) == 0)
            return &offers.items[i];
    }
    return NULL;
}

static struct registry_offer make(const char *address, uint32_t weight, const char *methods,
                                  uint64_t generation)
{
    const struct registry_offer *before = find(address);
    bool same = before != NULL && before->weight == weight && strcmp(before->methods, methods) == 0;

    return (struct registry_offer){.address = must_strdup(address),
                                   .weight = weight,
                                   .methods = must_strdup(methods),
                                   .generation = same ? before->generation : generation,
                                   .started = offers.started};
}

void offers_set(const struct generation *generation)
{
    const struct registry_settings *settings = generation->settings->registry;
    const char *prefix = settings == NULL || settings->prefix == NULL ? "" : settings->prefix;
    size_t count = generation->registering.count;
    struct registry_offer *items = must_zalloc((count + 1) * sizeof(*items));

    if (offers.started[0] == '\0')
        clock_text(offers.started, sizeof(offers.started));
    for (size_t i = 0; i < count; i++) {
        const struct registered *registered = &generation->registering.items[i];
        items[i] = make(registered->address.text, (uint32_t)registered->settings->weight,
                        told_of(generation, registered->server->index), generation->number);
    }
    struct registry_offer *before = offers.items;
    size_t before_count = offers.count;
    for (size_t i = 0; i < before_count; i++)
        add_former(offers.prefix, before[i].address);
    offers.items = items;
    offers.count = count;
    free(offers.prefix);
    offers.prefix = must_strdup(prefix);
    free_items(before, before_count);
    keep_apart();
    forget_told();
}

const struct registry_offer *offers_now(size_t *count)
{
    *count = offers.count;
    return offers.items;
}

const char *const *offers_former(size_t *count)
{
    *count = offers.former_count;
    return (const char *const *)offers.former;
}

void offers_print(struct text *text)
{
    text_printf(text, "%s %s", PILLION_VERSION, offers.prefix == NULL ? "" : offers.prefix);
    for (size_t i = 0; i < offers.count; i++)
        text_printf(text, "\n%s %u %llu", offers.items[i].address, offers.items[i].weight,
                    (unsigned long long)offers.items[i].generation);
}

/* ---- Upgrade ---- */

void offers_write(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "offers");

    cJSON_AddStringToObject(state, "offers_prefix", offers.prefix == NULL ? "" : offers.prefix);
    cJSON_AddStringToObject(state, "offers_started", offers.started);
    for (size_t i = 0; i < offers.count; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "address", offers.items[i].address);
        cJSON_AddNumberToObject(item, "weight", offers.items[i].weight);
        cJSON_AddStringToObject(item, "methods", offers.items[i].methods);
        cJSON_AddNumberToObject(item, "generation", (double)offers.items[i].generation);
        cJSON_AddItemToArray(list, item);
    }
    cJSON_AddItemToObject(
        state, "offers_former",
        cJSON_CreateStringArray((const char *const *)offers.former, (int)offers.former_count));
}

void offers_read(const cJSON *state)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(state, "offers"), *item;

    offers.prefix = must_strdup(state_words(state, "offers_prefix", ""));
    snprintf(offers.started, sizeof(offers.started), "%s",
             state_words(state, "offers_started", ""));
    offers.items = must_zalloc(((size_t)cJSON_GetArraySize(list) + 1) * sizeof(*offers.items));
    cJSON_ArrayForEach(item, list)
    {
        const char *address = state_words(item, "address", NULL);
        if (address == NULL)
            continue;
        /* Not counted before: nothing is found among the others that could be the same. */
        offers.items[offers.count++] =
            (struct registry_offer){.address = must_strdup(address),
                                    .weight = (uint32_t)state_number(item, "weight", RECORD_WEIGHT),
                                    .methods = must_strdup(state_words(item, "methods", "")),
                                    .generation = (uint64_t)state_number(item, "generation", 0),
                                    .started = offers.started};
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "offers_former"))
    {
        if (!cJSON_IsString(item) || offers.former_count == FORMER_MAX)
            continue;
        offers.former =
            must_realloc(offers.former, (offers.former_count + 1) * sizeof(*offers.former));
        offers.former[offers.former_count++] = must_strdup(item->valuestring);
    }
}
