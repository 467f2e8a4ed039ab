/* From the words of a `command` and the params of a request to the arguments of a Redis command. */
#include "redis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MAX 100000u

static bool ends_with(const char *text, size_t size, const char *end)
{
    size_t length = strlen(end);
    return size > length && memcmp(text + size - length, end, length) == 0;
}

int command_read(const pillion_list *words, struct command *command, pillion_error_text *error)
{
    command->words = calloc(words->count, sizeof(*command->words));
    if (command->words == NULL)
        return pillion_error(error, "out of memory");
    command->count = words->count;
    for (size_t i = 0; i < words->count; i++) {
        struct word *word = &command->words[i];
        *word = (struct word){.text = words->items[i], .size = strlen(words->items[i])};
        if (word->text[0] != '$')
            continue;
        word->is_param = true;
        word->text++;
        word->size--;
        if (ends_with(word->text, word->size, "...")) {
            word->spreads = true;
            word->size -= 3;
        } else if (ends_with(word->text, word->size, "?")) {
            word->optional = true;
            word->size--;
            if (i > 1 && !command->words[i - 1].is_param)
                command->words[i - 1].leads = true;
        }
        if (word->size == 0 || i == 0)
            return pillion_error(error,
                                 "\"%s\" cannot stand in a command: it begins with the name of "
                                 "Redis's command, and $name, $name? and $names... are members of "
                                 "params",
                                 words->items[i]);
        word->text = strndup(word->text, word->size);
        if (word->text == NULL)
            return pillion_error(error, "out of memory");
    }
    return 0;
}

static bool add(struct arguments *arguments, const char *data, size_t size)
{
    arguments->data[arguments->count] = data;
    arguments->sizes[arguments->count++] = size;
    return true;
}

/* A value as Redis takes it: a string, or a number as text. */
static bool add_value(pillion_request *req, struct arguments *arguments, const struct word *word,
                      const cJSON *item)
{
    char *text;

    if (cJSON_IsString(item))
        return add(arguments, item->valuestring, strlen(item->valuestring));
    if (!cJSON_IsNumber(item)) {
        pillion_fail(req, PILLION_INVALID_PARAMS, "\"%.*s\" must be a string or a number%s",
                     (int)word->size, word->text, word->spreads ? ", or an array of them" : "");
        return false;
    }
    text = pillion_alloc(req, 32);
    if (text == NULL) {
        pillion_fail(req, PILLION_OVERLOADED, "out of memory");
        return false;
    }
    bool whole = item->valuedouble == floor(item->valuedouble) && fabs(item->valuedouble) < 1e15;
    int size = snprintf(text, 32, whole ? "%.0f" : "%.17g", item->valuedouble);
    return add(arguments, text, (size_t)size);
}

static const cJSON *member(const cJSON *params, const struct word *word)
{
    return cJSON_GetObjectItemCaseSensitive(params, word->text);
}

static bool add_word(pillion_request *req, struct arguments *arguments, const struct word *word,
                     const cJSON *params)
{
    const cJSON *item, *element;

    if (word->leads && member(params, word + 1) == NULL)
        return true;
    if (!word->is_param)
        return add(arguments, word->text, word->size);
    item = member(params, word);
    if (item == NULL && word->optional)
        return true;
    if (item == NULL) {
        pillion_fail(req, PILLION_INVALID_PARAMS, "\"%.*s\" is missing in params", (int)word->size,
                     word->text);
        return false;
    }
    if (!word->spreads || !cJSON_IsArray(item))
        return add_value(req, arguments, word, item);
    cJSON_ArrayForEach(element, item)
    {
        if (!add_value(req, arguments, word, element))
            return false;
    }
    return true;
}

bool command_fill(pillion_request *req, const struct command *command, struct arguments *arguments)
{
    const cJSON *params = pillion_params(req);
    pillion_bytes raw = pillion_params_raw(req);
    size_t most = command->count;

    if (params == NULL)
        return false; /* answered: cJSON cannot hold them */
    if (memmem(raw.data, raw.size, "\\u0000", 6) != NULL) {
        pillion_fail(req, PILLION_INVALID_PARAMS, "params hold \\u0000, which is not supported");
        return false;
    }
    for (size_t i = 0; i < command->count; i++) {
        if (command->words[i].spreads)
            most += (size_t)cJSON_GetArraySize(member(params, &command->words[i]));
    }
    *arguments = (struct arguments){0};
    if (most <= ARGUMENTS_MAX) {
        arguments->data = pillion_alloc(req, most * sizeof(*arguments->data));
        arguments->sizes = pillion_alloc(req, most * sizeof(*arguments->sizes));
    }
    if (arguments->data == NULL || arguments->sizes == NULL) {
        pillion_fail(req, PILLION_INVALID_PARAMS, "these are too many arguments: %zu", most);
        return false;
    }
    for (size_t i = 0; i < command->count; i++) {
        if (!add_word(req, arguments, &command->words[i], params))
            return false;
    }
    return true;
}
