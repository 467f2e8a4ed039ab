/* The setters of what limits clients by their address. See setters.h. */
#include <string.h>

#include "conf/directive.h"
#include "conf/setters.h"
#include "conf/settings.h"

#define CONNECTIONS_MAX 60000 /* one address: it is counted in 16 bits for each worker */
#define RATE_MAX        60000

/* allow … and deny …, which are one list. */
void settings_set_access(struct conf_apply *apply, const struct conf_directive *directive,
                         const struct conf_statement *statement, void *target)
{
    struct access_settings *access = &((struct server_settings *)target)->access;
    struct error error;

    if (!conf_check_words(apply, directive, statement, 1, SIZE_MAX))
        return;
    struct access_rule *rules = pool_must_zalloc(
        &apply->tree->pool, (access->count + statement->word_count) * sizeof(*rules));
    if (access->count > 0)
        memcpy(rules, access->rules, access->count * sizeof(*rules));
    access->rules = rules;
    for (size_t i = 0; i < statement->word_count; i++) {
        struct access_rule *rule = &rules[access->count++];
        rule->allows = strcmp(directive->name, "allow") == 0;
        if (!access_parse(statement->words[i].text, rule, &error))
            conf_error(apply->errors, &statement->words[i].place,
                       "%s; or all, or unix:", error.text);
    }
}

/* A number, up to `most`, with what may follow it. False with an error added. */
static bool read_number(struct conf_apply *apply, const struct conf_word *word, const char *digits,
                        size_t size, int64_t most, int64_t *number)
{
    struct text text = {0};

    text_append(&text, (struct bytes){digits, size});
    const struct conf_word value = {text_string(&text), word->place};
    bool good = conf_read_integer(apply, &value, number);
    text_free(&text);
    if (good && (*number < 1 || *number > most)) {
        conf_error(apply->errors, &word->place, "\"%s\" must be from 1 to %lld", word->text,
                   (long long)most);
        return false;
    }
    return good;
}

/* limit_conn N [rate=N/s|N/m], or off */
void settings_set_limit_conn(struct conf_apply *apply, const struct conf_directive *directive,
                             const struct conf_statement *statement, void *target)
{
    struct limit_conn_settings *limit = &((struct server_settings *)target)->limit_conn;

    *limit = (struct limit_conn_settings){.period_s = 1};
    if (!conf_check_words(apply, directive, statement, 1, 2))
        return;
    const struct conf_word *most = &statement->words[0], *rate = &statement->words[1];
    if (statement->word_count == 1 && strcmp(most->text, "off") == 0)
        return;
    if (!read_number(apply, most, most->text, strlen(most->text), CONNECTIONS_MAX, &limit->most) ||
        statement->word_count == 1)
        return;
    size_t size = strlen(rate->text);
    bool by_minute = size > 2 && strcmp(rate->text + size - 2, "/m") == 0;
    bool by_second = size > 2 && strcmp(rate->text + size - 2, "/s") == 0;
    if (strncmp(rate->text, "rate=", 5) != 0 || (!by_minute && !by_second)) {
        conf_error_unexpected(apply, directive, statement, 1);
        return;
    }
    limit->period_s = by_minute ? 60 : 1;
    read_number(apply, rate, rate->text + 5, size - 7, RATE_MAX, &limit->rate);
}
