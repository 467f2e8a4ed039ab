/* Writing and reading events. See journal.h. */
#include "rpc/journal.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_escape.h"
#include "base/printable.h"

static const struct {
    const char *name;
    enum log_level level;
} kinds[JOURNAL_KINDS] = {
    [JOURNAL_STARTED] = {"started", LOG_NOTICE_LEVEL},
    [JOURNAL_RELOAD] = {"reload", LOG_NOTICE_LEVEL},
    [JOURNAL_RELOAD_FAILED] = {"reload_failed", LOG_ERROR_LEVEL},
    [JOURNAL_UPGRADE] = {"upgrade", LOG_NOTICE_LEVEL},
    [JOURNAL_UPGRADE_FAILED] = {"upgrade_failed", LOG_ERROR_LEVEL},
    [JOURNAL_CRASH] = {"crash", LOG_ERROR_LEVEL},
    [JOURNAL_HANG] = {"hang", LOG_ERROR_LEVEL},
    [JOURNAL_DISORDER] = {"disorder", LOG_WARN_LEVEL},
    [JOURNAL_QUARANTINE] = {"quarantine", LOG_ERROR_LEVEL},
    [JOURNAL_WORKER_WORN] = {"worker_worn", LOG_NOTICE_LEVEL},
    [JOURNAL_WORKER_CRIPPLED] = {"worker_crippled", LOG_WARN_LEVEL},
    [JOURNAL_NOT_REPLACED] = {"not_replaced", LOG_ERROR_LEVEL},
    [JOURNAL_CORRECTION] = {"correction", LOG_NOTICE_LEVEL},
    [JOURNAL_GATE_ENDED] = {"gate_ended", LOG_ERROR_LEVEL},
    [JOURNAL_VAULT_RESTARTED] = {"vault_restarted", LOG_ERROR_LEVEL},
    [JOURNAL_STOPPING] = {"stopping", LOG_NOTICE_LEVEL},
    [JOURNAL_REGISTRY_ENDED] = {"registry_ended", LOG_ERROR_LEVEL},
    [JOURNAL_REGISTRY_LOST] = {"registry_lost", LOG_ERROR_LEVEL},
    [JOURNAL_REGISTRY_BACK] = {"registry_back", LOG_NOTICE_LEVEL},
    [JOURNAL_REGISTRY_LEASE] = {"registry_lease", LOG_WARN_LEVEL},
    [JOURNAL_REGISTRY_REFUSED] = {"registry_refused", LOG_ERROR_LEVEL},
};

const char *journal_kind_name(uint32_t kind)
{
    return kind < JOURNAL_KINDS ? kinds[kind].name : "event";
}

enum log_level journal_kind_level(uint32_t kind)
{
    return kind < JOURNAL_KINDS ? kinds[kind].level : LOG_NOTICE_LEVEL;
}

/* ---- Rows ---- */

static counter *row_of(const struct journal *journal, uint64_t id)
{
    return (counter *)journal->rows[id % JOURNAL_KEPT];
}

/* Stores an event that has an id. */
static void put(struct journal *journal, const struct journal_event *event)
{
    counter *row = row_of(journal, event->id);
    uint64_t words[JOURNAL_WORDS];

    memcpy(words, event, sizeof(words));
    atomic_store_explicit(&row[0], 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t i = 1; i < JOURNAL_WORDS; i++)
        atomic_store_explicit(&row[i], words[i], memory_order_relaxed);
    atomic_store_explicit(&row[0], event->id, memory_order_release);
    atomic_store_explicit(&journal->last, event->id, memory_order_release);
}

/* Copies the event `id`. False when it is not there, or is being replaced. */
static bool get(const struct journal *journal, uint64_t id, struct journal_event *event)
{
    const counter *row = row_of(journal, id);
    uint64_t words[JOURNAL_WORDS];

    words[0] = atomic_load_explicit(&row[0], memory_order_acquire);
    if (words[0] != id)
        return false;
    for (size_t i = 1; i < JOURNAL_WORDS; i++)
        words[i] = counter_read(&row[i]);
    atomic_thread_fence(memory_order_acquire);
    if (counter_read(&row[0]) != id)
        return false;
    memcpy(event, words, sizeof(words));
    return true;
}

/* Ends the text, and replaces what may not stand on a terminal. */
static void make_printable(char *text, size_t size)
{
    struct text shown = {0};

    text[size - 1] = '\0';
    text_append_line(&shown, bytes_of(text));
    size_t length = shown.size < size ? shown.size : size - 1;
    while (length > 0 && length < shown.size && ((unsigned char)shown.data[length] & 0xc0) == 0x80)
        length--; /* a character is not cut in two */
    memcpy(text, text_string(&shown), length);
    text[length] = '\0';
    text_free(&shown);
}

static void check_texts(struct journal_event *event)
{
    make_printable(event->method, sizeof(event->method));
    make_printable(event->module, sizeof(event->module));
    make_printable(event->text, sizeof(event->text));
}

void journal_add(struct journal *journal, struct journal_event *event)
{
    uint64_t last = journal_last(journal);

    /* The first id is the time, so that the ids of one server follow those of the one before. */
    event->id = last == 0 ? clock_wall_ms() : last + 1;
    event->at_ms = clock_wall_ms();
    check_texts(event);
    put(journal, event);
}

uint64_t journal_last(const struct journal *journal)
{
    return atomic_load_explicit(&journal->last, memory_order_acquire);
}

bool journal_next(const struct journal *journal, uint64_t id, struct journal_event *event)
{
    uint64_t last = journal_last(journal);
    uint64_t oldest = last < JOURNAL_KEPT ? 1 : last - JOURNAL_KEPT + 1;

    for (uint64_t at = id < oldest || id > last ? oldest : id + 1; at <= last; at++) {
        if (get(journal, at, event)) {
            check_texts(event);
            return true;
        }
    }
    return false;
}

/* ---- As JSON ---- */

static void append_name(struct text *out, const char *member, const char *name)
{
    text_printf(out, "\"%s\":", member);
    if (name[0] == '\0') {
        text_append_string(out, "null,");
        return;
    }
    text_append_char(out, '"');
    text_append_json(out, bytes_of(name));
    text_append_string(out, "\",");
}

void journal_append(const struct journal_event *event, struct text *out)
{
    text_printf(out, "{\"id\":%llu,\"at_ms\":%llu,\"kind\":\"%s\",\"level\":\"%s\",",
                (unsigned long long)event->id, (unsigned long long)event->at_ms,
                journal_kind_name(event->kind), log_level_name(journal_kind_level(event->kind)));
    append_name(out, "method", event->method);
    append_name(out, "module", event->module);
    text_printf(out, "\"pid\":%d,\"generation\":%llu,\"text\":\"", (int)event->pid,
                (unsigned long long)event->generation);
    text_append_json(out, bytes_of(event->text));
    text_append_string(out, "\"}\n");
}

/* ---- For another binary ---- */

cJSON *journal_write(const struct journal *journal)
{
    cJSON *list = cJSON_CreateArray();
    struct journal_event event = {0};

    while (journal_next(journal, event.id, &event)) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "id", (double)event.id);
        cJSON_AddNumberToObject(item, "at_ms", (double)event.at_ms);
        cJSON_AddNumberToObject(item, "kind", event.kind);
        cJSON_AddNumberToObject(item, "pid", event.pid);
        cJSON_AddNumberToObject(item, "generation", (double)event.generation);
        cJSON_AddStringToObject(item, "method", event.method);
        cJSON_AddStringToObject(item, "module", event.module);
        cJSON_AddStringToObject(item, "text", event.text);
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

static double number(const cJSON *item, const char *name, double most)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(item, name);
    double value = cJSON_IsNumber(member) ? member->valuedouble : 0;
    return value > 0 && value <= most ? value : 0;
}

static void copy_words(const cJSON *item, const char *name, char *to, size_t size)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(item, name);
    snprintf(to, size, "%s", cJSON_IsString(member) ? member->valuestring : "");
}

void journal_read(struct journal *journal, const cJSON *list)
{
    static const double exact = 9007199254740992.0; /* 2^53 */
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        struct journal_event event = {
            .id = (uint64_t)number(item, "id", exact),
            .at_ms = (uint64_t)number(item, "at_ms", exact),
            .generation = (uint64_t)number(item, "generation", exact),
            .pid = (int32_t)number(item, "pid", INT32_MAX),
            .kind = (uint32_t)number(item, "kind", UINT32_MAX),
        };
        copy_words(item, "method", event.method, sizeof(event.method));
        copy_words(item, "module", event.module, sizeof(event.module));
        copy_words(item, "text", event.text, sizeof(event.text));
        check_texts(&event);
        if (event.id > journal_last(journal))
            put(journal, &event);
    }
}
