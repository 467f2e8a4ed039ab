/* The setters of pools of threads, and of what uses them. See setters.h. */
#include <string.h>

#include "conf/directive.h"
#include "conf/setters.h"
#include "conf/settings.h"

#define THREADS_MAX   1024
#define QUEUE_MAX     1000000
#define QUEUE_DEFAULT 1000
#define POOL_NAME_MAX 32u /* bytes: it is part of names on the board */
#define POOLS_MAX     64u

/* threads=N or queue=N. False with an error added. */
static bool read_parameter(struct conf_apply *apply, const struct conf_directive *directive,
                           const struct conf_statement *statement, size_t index,
                           struct pool_settings *pool)
{
    static const struct {
        const char *name;
        int64_t min, max;
    } known[] = {{"threads=", 1, THREADS_MAX}, {"queue=", 0, QUEUE_MAX}};
    const struct conf_word *word = &statement->words[index];

    for (size_t i = 0; i < 2; i++) {
        size_t size = strlen(known[i].name);
        int64_t number;
        if (strncmp(word->text, known[i].name, size) != 0)
            continue;
        const struct conf_word value = {word->text + size, word->place};
        if (!conf_read_integer(apply, &value, &number))
            return false;
        if (number < known[i].min || number > known[i].max) {
            conf_error(apply->errors, &word->place,
                       "\"%.*s\" must be from %lld to %lld, not \"%s\"", (int)size - 1,
                       known[i].name, (long long)known[i].min, (long long)known[i].max, value.text);
            return false;
        }
        *(i == 0 ? &pool->threads : &pool->queue) = number;
        return true;
    }
    conf_error_unexpected(apply, directive, statement, index);
    return false;
}

static bool check_name(struct conf_apply *apply, const struct conf_word *word)
{
    size_t size = strspn(word->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789-_");

    if (size > 0 && size <= POOL_NAME_MAX && word->text[size] == '\0')
        return true;
    conf_error(apply->errors, &word->place,
               "a pool's name is 1 to %u letters, digits, - and _, not \"%s\"", POOL_NAME_MAX,
               word->text);
    return false;
}

/* pool NAME threads=N [queue=N] */
void settings_set_pool(struct conf_apply *apply, const struct conf_directive *directive,
                       const struct conf_statement *statement, void *target)
{
    struct settings *settings = target;
    struct pool_settings **tail = &settings->pools;
    unsigned index = 1; /* 0 is the pool that has no name */

    if (!conf_check_words(apply, directive, statement, 2, 3))
        return;
    const struct conf_word *name = &statement->words[0];
    if (!check_name(apply, name))
        return;
    for (; *tail != NULL; tail = &(*tail)->next, index++) {
        if (strcmp((*tail)->name, name->text) != 0)
            continue;
        struct text what = {0};
        text_printf(&what, "\"pool %s\"", name->text);
        conf_error_twice(apply, &name->place, &(*tail)->place, text_string(&what));
        text_free(&what);
        return;
    }
    struct pool_settings *pool = pool_must_zalloc(&apply->tree->pool, sizeof(*pool));
    *pool = (struct pool_settings){
        .name = name->text, .queue = QUEUE_DEFAULT, .index = index, .place = name->place};
    for (size_t i = 1; i < statement->word_count; i++) {
        if (!read_parameter(apply, directive, statement, i, pool))
            return;
    }
    if (pool->threads == 0)
        conf_error(apply->errors, &name->place, "\"pool %s\" needs threads=N", name->text);
    else if (index > POOLS_MAX)
        conf_error(apply->errors, &name->place, "there are more than %u pools", POOLS_MAX);
    *tail = pool;
}

/* pool NAME, in a method */
void settings_set_method_pool(struct conf_apply *apply, const struct conf_directive *directive,
                              const struct conf_statement *statement, void *target)
{
    struct method_settings *method = target;

    if (conf_check_words(apply, directive, statement, 1, 1))
        method->pool =
            (struct pool_choice){.word = &statement->words[0], .name = statement->words[0].text};
}

static void find_pool(const struct settings *settings, struct pool_choice *choice,
                      struct conf_tree *tree, struct conf_errors *errors)
{
    if (choice->name == NULL)
        return;
    struct suggest suggest = suggest_start(choice->name);
    for (const struct pool_settings *pool = settings->pools; pool != NULL; pool = pool->next) {
        suggest_offer(&suggest, pool->name);
        if (strcmp(pool->name, choice->name) != 0)
            continue;
        choice->index = pool->index;
        return;
    }
    conf_error(errors, &choice->word->place, "there is no \"pool %s\"%s%s", choice->name,
               conf_did_you_mean(tree, &suggest),
               suggest.nearest != NULL ? "" : "; add \"pool NAME threads=N;\" to main");
}

void settings_find_pools(struct settings *settings, struct conf_tree *tree,
                         struct conf_errors *errors)
{
    for (struct module_settings *m = settings->modules; m != NULL; m = m->next)
        find_pool(settings, &m->pool, tree, errors);
    for (struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        for (struct method_settings *m = s->methods; m != NULL; m = m->next)
            find_pool(settings, &m->pool, tree, errors);
    }
}
