/* The setters of `registry` and `register`. See setters.h. Nothing is opened or looked up here:
 * process/preflight_registry.c checks addresses, and a child tries the files. */
#include <stdlib.h>
#include <string.h>

#include "base/service_name.h"
#include "conf/directive.h"
#include "conf/setters.h"
#include "conf/settings.h"
#include "conf/settings_table.h"

#define WEIGHT_MAX 1000

/* ---- registry ---- */

/* From 1 to 65535, up to `end`. */
static bool is_port(const char *digits, const char *end)
{
    size_t count = strspn(digits, "0123456789");

    if (count == 0 || count > 5 || digits + count != end)
        return false;
    long port = strtol(digits, NULL, 10);
    return port >= 1 && port <= 65535;
}

/* "http://HOST:PORT", "https://[::1]:2379", with a slash at its end at most. */
static bool is_member(const char *url)
{
    size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
    const char *host = url + scheme;
    size_t size = strcspn(host, "/");
    const char *colon = memrchr(host, ':', size);

    if (scheme == 0 || colon == NULL || colon == host || strspn(host, "/@?#") > 0)
        return false;
    bool whole = host[0] == '[' ? colon[-1] == ']' : host + strcspn(host, ":[]") == colon;
    bool ended = host[size] == '\0' || strcmp(host + size, "/") == 0;
    return whole && ended && is_port(colon + 1, host + size) && strcspn(host, "@?# ") >= size;
}

static bool read_urls(struct conf_apply *apply, const struct conf_statement *statement,
                      struct conf_list *urls)
{
    size_t count = statement->word_count - 1;
    const char **items = pool_must_zalloc(&apply->tree->pool, count * sizeof(*items));

    for (size_t i = 0; i < count; i++) {
        const struct conf_word *word = &statement->words[i + 1];
        if (!is_member(word->text)) {
            conf_error(apply->errors, &word->place,
                       "a member of etcd is written http://10.0.0.9:2379 or "
                       "https://etcd.example:2379, with its port and nothing behind it, not \"%s\"",
                       word->text);
            return false;
        }
        items[i] = word->text;
    }
    *urls = (struct conf_list){items, count};
    return true;
}

struct conf_place settings_registry_place(const struct registry_settings *registry,
                                          const char *name)
{
    struct conf_place place = registry->place;

    for (const struct conf_statement *s = registry->block; s != NULL; s = s->next) {
        if (strcmp(s->name.text, name) == 0)
            place = s->word_count > 0 ? s->words[0].place : s->name.place;
    }
    return place;
}

/* Keys are PREFIX/ADDRESS, and callers name the service as registry:PREFIX. */
static void check_prefix(const struct registry_settings *registry, struct conf_errors *errors)
{
    const struct conf_place place = settings_registry_place(registry, "prefix");
    struct error error;

    if (registry->prefix != NULL && !service_path_check(registry->prefix, &error))
        conf_error(errors, &place,
                   "\"prefix\" must be a path such as /pillion/shop, which callers name as "
                   "\"registry:/pillion/shop\": %s",
                   error.text);
}

static void check_tls(const struct registry_settings *registry, struct conf_errors *errors)
{
    const char *cert = registry->cert, *key = registry->key;
    bool secure = false;

    for (size_t i = 0; i < registry->urls.count; i++)
        secure = secure || strncmp(registry->urls.items[i], "https:", 6) == 0;
    if (!secure && (registry->ca != NULL || cert != NULL || key != NULL)) {
        const struct conf_place place =
            settings_registry_place(registry, registry->ca != NULL ? "ca"
                                              : cert != NULL       ? "cert"
                                                                   : "key");
        conf_error(errors, &place,
                   "\"ca\", \"cert\" and \"key\" are for members with https://, and \"registry\" "
                   "names none");
    }
    if ((cert == NULL) != (key == NULL)) {
        const char *given = cert != NULL ? "cert" : "key";
        const struct conf_place place = settings_registry_place(registry, given);
        conf_error(errors, &place, "\"registry\" has a \"%s\" and no \"%s\"; it needs both", given,
                   cert != NULL ? "key" : "cert");
    }
}

/* registry etcd URL … [{ … }] */
void settings_set_registry(struct conf_apply *apply, const struct conf_directive *directive,
                           const struct conf_statement *statement, void *target)
{
    static const char *const engines[] = {"etcd", NULL};
    struct settings *settings = target;

    if (!conf_check_words(apply, directive, statement, 2, 1 + REGISTRY_URLS_MAX) ||
        conf_read_enum(apply, "registry", &statement->words[0], engines) < 0)
        return;
    struct registry_settings *registry = pool_must_zalloc(&apply->tree->pool, sizeof(*registry));
    registry->engine = statement->words[0].text;
    registry->place = statement->name.place;
    registry->block = statement->block;
    if (!read_urls(apply, statement, &registry->urls))
        return;
    if (!conf_apply(apply, apply->table, CONF_IN_REGISTRY, "registry", &registry->place,
                    statement->block, registry))
        return;
    check_prefix(registry, apply->errors);
    check_tls(registry, apply->errors);
    settings->registry = registry;
}

/* user NAME PASSWORD-FILE */
void settings_set_registry_user(struct conf_apply *apply, const struct conf_directive *directive,
                                const struct conf_statement *statement, void *target)
{
    struct registry_settings *registry = target;

    if (!conf_check_words(apply, directive, statement, 2, 2))
        return;
    registry->user = statement->words[0].text;
    registry->password_file = conf_tree_path(apply->tree, statement->words[1].text);
}

/* ---- register ---- */

static bool read_weight(struct conf_apply *apply, const struct conf_directive *directive,
                        const struct conf_statement *statement, int64_t *weight)
{
    static const char name[] = "weight=";
    const struct conf_word *word = &statement->words[1];

    if (strncmp(word->text, name, sizeof(name) - 1) != 0) {
        conf_error_unexpected(apply, directive, statement, 1);
        return false;
    }
    const struct conf_word value = {word->text + sizeof(name) - 1, word->place};
    if (!conf_read_integer(apply, &value, weight))
        return false;
    if (*weight >= 1 && *weight <= WEIGHT_MAX)
        return true;
    conf_error(apply->errors, &word->place, "\"weight\" must be from 1 to %d, not \"%s\"",
               WEIGHT_MAX, value.text);
    return false;
}

/* register ADDRESS [weight=N] */
void settings_set_register(struct conf_apply *apply, const struct conf_directive *directive,
                           const struct conf_statement *statement, void *target)
{
    struct server_settings *server = target;
    struct register_settings **tail = &server->registers;
    int64_t weight = REGISTER_WEIGHT;

    if (!conf_check_words(apply, directive, statement, 1, 2) ||
        (statement->word_count == 2 && !read_weight(apply, directive, statement, &weight)))
        return;
    while (*tail != NULL)
        tail = &(*tail)->next;
    *tail = pool_must_zalloc(&apply->tree->pool, sizeof(**tail));
    **tail = (struct register_settings){
        .address = statement->words[0].text, .weight = weight, .place = statement->words[0].place};
}

void settings_check_registry(const struct settings *settings, struct conf_errors *errors)
{
    const struct registry_settings *registry = settings->registry;
    size_t count = 0;

    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        for (const struct register_settings *r = s->registers; r != NULL; r = r->next) {
            if (count++ == REGISTER_MAX)
                conf_error(errors, &r->place, "one \"register\" too many: there may be %u",
                           REGISTER_MAX);
            else if (registry == NULL && errors->count == 0)
                conf_error(errors, &r->place,
                           "\"register\" needs a \"registry\" outside of all blocks, as in "
                           "\"registry etcd http://10.0.0.9:2379 { prefix /pillion/shop; }\"");
            else if (registry != NULL && registry->prefix == NULL)
                conf_error(errors, &r->place,
                           "\"register\" needs the name of a service: add \"prefix "
                           "/pillion/NAME;\" to the block of \"registry\"");
        }
    }
}
