/* The setter of `resolver`. See setters.h. Nothing is asked here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/network.h"
#include "conf/directive.h"
#include "conf/setters.h"
#include "conf/settings.h"

#define TEXT_MAX 80u

static bool is_port(const char *text)
{
    size_t size = strspn(text, "0123456789");

    return size > 0 && size < 6 && text[size] == '\0' && atoi(text) > 0 && atoi(text) <= 65535;
}

/* An address of a machine, in brackets or not. */
static bool is_host(char *text, bool six)
{
    size_t size = strlen(text);
    struct network network;
    struct error error;

    if (size > 1 && text[0] == '[' && text[size - 1] == ']') {
        text[size - 1] = '\0';
        text++;
        six = true;
    }
    return strchr(text, '/') == NULL && (strchr(text, ':') != NULL) == six &&
           network_parse(text, &network, &error);
}

/* "10.0.0.53", "127.0.0.1:5353", "2001:db8::53", "[2001:db8::53]:53". */
static bool is_name_server(const char *text)
{
    char copy[TEXT_MAX];

    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
        return false;
    char *first = strchr(copy, ':'), *last = strrchr(copy, ':');
    bool bracketed = copy[0] == '[';
    if (last == NULL || (bracketed && copy[strlen(copy) - 1] == ']'))
        return is_host(copy, false);
    if (!bracketed && first != last)
        return is_host(copy, true);
    *last = '\0';
    return is_port(last + 1) && is_host(copy, bracketed);
}

/* resolver ADDRESS … */
void settings_set_resolver(struct conf_apply *apply, const struct conf_directive *directive,
                           const struct conf_statement *statement, void *target)
{
    struct settings *settings = target;
    size_t count = statement->word_count;

    if (!conf_check_words(apply, directive, statement, 1, RESOLVERS_MAX))
        return;
    const char **items = pool_must_zalloc(&apply->tree->pool, count * sizeof(*items));
    for (size_t i = 0; i < count; i++) {
        const struct conf_word *word = &statement->words[i];
        if (!is_name_server(word->text)) {
            conf_error(apply->errors, &word->place,
                       "a name server is written as its address, with its port if that is not 53: "
                       "10.0.0.53, 127.0.0.1:5353 or [2001:db8::53]:53, not \"%s\"",
                       word->text);
            return;
        }
        items[i] = word->text;
    }
    settings->resolver = (struct conf_list){items, count};
}
