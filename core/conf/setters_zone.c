/* The setter of zones. See setters.h. */
#include <string.h>

#include "conf/directive.h"
#include "conf/setters.h"
#include "conf/settings.h"

#define ZONE_MIN (64u << 10)
#define ZONE_MAX (UINT64_C(64) << 30)
#define FILE_IS  "file="

static bool read_size(struct conf_apply *apply, const struct conf_word *word, uint64_t *size)
{
    if (!conf_read_size(apply, word, size))
        return false;
    if (*size >= ZONE_MIN && *size <= ZONE_MAX)
        return true;
    conf_error(apply->errors, &word->place,
               "the size of a zone must be from 64k to 64g, not \"%s\"", word->text);
    return false;
}

/* Neither the name nor the file is another zone's. */
static bool check_apart(struct conf_apply *apply, const struct zone_settings *zone,
                        const struct zone_settings *other)
{
    struct text what = {0};
    bool same_file =
        zone->file != NULL && other->file != NULL && strcmp(zone->file, other->file) == 0;

    if (strcmp(zone->name, other->name) == 0)
        text_printf(&what, "\"zone %s\"", zone->name);
    else if (same_file)
        text_printf(&what, "the zone file %s", zone->file);
    if (what.size > 0)
        conf_error_twice(apply, &zone->place, &other->place, text_string(&what));
    bool good = what.size == 0;
    text_free(&what);
    return good;
}

/* zone NAME SIZE [file=PATH] */
void settings_set_zone(struct conf_apply *apply, const struct conf_directive *directive,
                       const struct conf_statement *statement, void *target)
{
    struct settings *settings = target;
    struct zone_settings **tail = &settings->zones;
    uint64_t size;

    if (!conf_check_words(apply, directive, statement, 2, 3))
        return;
    const struct conf_word *name = &statement->words[0];
    if (name->text[0] == '\0' || !read_size(apply, &statement->words[1], &size))
        return;
    struct zone_settings *zone = pool_must_zalloc(&apply->tree->pool, sizeof(*zone));
    *zone = (struct zone_settings){.name = name->text, .size = size, .place = name->place};
    if (statement->word_count == 3) {
        const char *word = statement->words[2].text;
        if (strncmp(word, FILE_IS, strlen(FILE_IS)) != 0 || word[strlen(FILE_IS)] == '\0') {
            conf_error_unexpected(apply, directive, statement, 2);
            return;
        }
        zone->file = conf_tree_path(apply->tree, word + strlen(FILE_IS));
        zone->place = statement->words[2].place;
    }
    for (; *tail != NULL; tail = &(*tail)->next) {
        if (!check_apart(apply, zone, *tail))
            return;
    }
    *tail = zone;
}
