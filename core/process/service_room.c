/* Room for services. See service_room.h. */
#include "process/service_room.h"

#include <string.h>

#include "base/bytes.h"
#include "base/service_name.h"

bool service_room_take(struct service_room *room, const char *name)
{
    if (strings_have(room->items, room->count, name))
        return true;
    if (room->count == DIRECTORY_SERVICES_MAX)
        return false;
    room->items[room->count++] = name;
    return true;
}

bool service_room_has(const struct service_room *room, const char *path)
{
    for (size_t i = 0; i < room->count; i++) {
        if (service_name_is_registered(room->items[i]) &&
            strcmp(strchr(room->items[i], ':') + 1, path) == 0)
            return true;
    }
    return false;
}

static void take_named(struct service_room *room, const struct conf_statement *first)
{
    for (const struct conf_statement *s = first; s != NULL; s = s->next) {
        for (size_t i = 0; i < s->word_count; i++) {
            if (service_name_is(s->words[i].text))
                service_room_take(room, s->words[i].text);
        }
        take_named(room, s->block);
    }
}

void service_room_begin(struct service_room *room, const struct conf_tree *tree)
{
    room->count = 0;
    take_named(room, tree->statements);
}
