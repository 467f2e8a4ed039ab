/* JSON text into memory that is known to be large enough, for requests to other servers. */
#ifndef PILLION_MODULES_JSON_PUT_H
#define PILLION_MODULES_JSON_PUT_H

#include <pillion/module.h>
#include <string.h>

static inline char *put(char *to, const char *data, size_t size)
{
    memcpy(to, data, size);
    return to + size;
}

/* Writes the text as a JSON string: at most twice its size, and two bytes. For names, which are
 * printable UTF-8; see stands_in_json. */
static inline char *put_string(char *to, const char *text)
{
    *to++ = '"';
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            *to++ = '\\';
        *to++ = *text;
    }
    *to++ = '"';
    return to;
}

/* True when put_string makes valid JSON of the text. */
static inline bool stands_in_json(pillion_instance *self, const char *text)
{
    char *json = pillion_malloc(self, 2 * strlen(text) + 2);
    bool stands =
        json != NULL &&
        pillion_json_check((pillion_bytes){json, (size_t)(put_string(json, text) - json)});

    pillion_free(self, json);
    return stands;
}

#endif
