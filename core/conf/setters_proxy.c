/* The setter of `proxy_all`. See setters.h. What it stands for is found when a server reads its
 * configuration: process/gateway.c. */
#include <string.h>

#include "base/service_name.h"
#include "conf/directive.h"
#include "conf/setters.h"
#include "conf/settings.h"

/* What a registry tells of each method. */
static bool is_told(const char *name)
{
    static const char *const told[] = {"handler", "upstream", "to", "declares"};

    for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++) {
        if (strcmp(told[i], name) == 0)
            return true;
    }
    return false;
}

/* A statement as process/gateway.c writes it for each method, before the block. */
static const struct conf_statement *with_upstream(const struct conf_apply *apply,
                                                  const struct proxy_all_settings *all)
{
    struct conf_word *word = pool_must_zalloc(&apply->tree->pool, sizeof(*word));
    struct conf_statement *statement = pool_must_zalloc(&apply->tree->pool, sizeof(*statement));

    *word = (struct conf_word){all->service, all->place};
    *statement = (struct conf_statement){.name = {"upstream", all->place},
                                         .words = word,
                                         .word_count = 1,
                                         .next = (struct conf_statement *)(uintptr_t)all->block};
    return statement;
}

/* The block's directives are put into the block of each method. Those of the core are checked
 * here, and those of modules by the probe: module/bind.c. */
static const struct method_settings *check_block(struct conf_apply *apply,
                                                 const struct proxy_all_settings *all)
{
    struct method_settings *any = pool_must_zalloc(&apply->tree->pool, sizeof(*any));
    struct conf_apply own = *apply;

    any->name = "of proxy_all";
    any->place = all->place;
    any->block = with_upstream(apply, all);
    for (const struct conf_statement *s = all->block; s != NULL; s = s->next) {
        if (is_told(s->name.text))
            conf_error(apply->errors, &s->name.place,
                       "\"%s\" of each method is what the registry tells; write a \"method\" of "
                       "its own for one that is to differ",
                       s->name.text);
    }
    own.leave_unknown = true;
    conf_apply(&own, apply->table, CONF_IN_METHOD, "proxy_all", &all->place, all->block, any);
    return any;
}

/* proxy_all registry:/PATH [{ … }] */
void settings_set_proxy_all(struct conf_apply *apply, const struct conf_directive *directive,
                            const struct conf_statement *statement, void *target)
{
    struct proxy_all_settings **tail = &((struct server_settings *)target)->proxy_alls;
    struct error error;

    if (!conf_check_words(apply, directive, statement, 1, 1))
        return;
    const struct conf_word *word = &statement->words[0];
    if (!service_name_check(word->text, &error)) {
        conf_error(apply->errors, &word->place, "%s", error.text);
        return;
    }
    if (!service_name_is_registered(word->text)) {
        conf_error(apply->errors, &word->place,
                   "\"proxy_all\" takes a registry:/PATH, not \"%s\": DNS does not tell which "
                   "methods a server has",
                   word->text);
        return;
    }
    for (; *tail != NULL; tail = &(*tail)->next) {
        if (strcmp((*tail)->service, word->text) == 0) {
            conf_error_twice(apply, &word->place, &(*tail)->place, "this \"proxy_all\"");
            return;
        }
    }
    *tail = pool_must_zalloc(&apply->tree->pool, sizeof(**tail));
    **tail = (struct proxy_all_settings){
        .service = word->text, .block = statement->block, .place = word->place};
    (*tail)->any = check_block(apply, *tail);
}

void settings_check_proxy_all(const struct settings *settings, struct conf_errors *errors)
{
    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        if (s->proxy_alls != NULL && settings->registry == NULL && errors->count == 0)
            conf_error(errors, &s->proxy_alls->place,
                       "\"proxy_all\" needs a \"registry\" outside of all blocks, as in "
                       "\"registry etcd http://10.0.0.9:2379;\"");
    }
}
