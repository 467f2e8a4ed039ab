/* Makes a command, as Redis reads it, from the words of a `command` and a request's params. */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../json_text.h"

#define ARGUMENTS_MAX 100000u

struct arguments {
    size_t count;
    const char **data;
    size_t *sizes;
};

static bool ends_with(const char *text, size_t size, const char *end)
{
    size_t length = strlen(end);
    return size > length && memcmp(text + size - length, end, length) == 0;
}

/* Requests share connections: a command that changes a connection for other requests, or makes them
 * wait, cannot be a method. */
static const char *unfit(const char *name)
{
    static const char *const state[] = {
        "ASKING",       "AUTH",        "CLIENT",     "DISCARD",    "EXEC",
        "HELLO",        "MONITOR",     "MULTI",      "PSUBSCRIBE", "PSYNC",
        "PUNSUBSCRIBE", "QUIT",        "READONLY",   "READWRITE",  "REPLCONF",
        "RESET",        "SELECT",      "SSUBSCRIBE", "SUBSCRIBE",  "SUNSUBSCRIBE",
        "SYNC",         "UNSUBSCRIBE", "UNWATCH",    "WATCH",      NULL};
    static const char *const blocking[] = {"BLMOVE",     "BLMPOP",  "BLPOP",    "BRPOP",
                                           "BRPOPLPUSH", "BZMPOP",  "BZPOPMAX", "BZPOPMIN",
                                           "WAIT",       "WAITAOF", NULL};

    for (size_t i = 0; state[i] != NULL; i++) {
        if (strcasecmp(name, state[i]) == 0)
            return "it changes the connection, which all requests share";
    }
    for (size_t i = 0; blocking[i] != NULL; i++) {
        if (strcasecmp(name, blocking[i]) == 0)
            return "it waits, and all requests that share its connection would wait with it";
    }
    return NULL;
}

static const char param_letters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

/* The index of the "$name" at the end of a word; 0 when there is none, or the whole word is one. */
static size_t inner_param(const char *word)
{
    const char *dollar = strrchr(word, '$');

    if (dollar == NULL || dollar[1] == '\0' ||
        dollar[1 + strspn(dollar + 1, param_letters)] != '\0')
        return 0;
    return (size_t)(dollar - word);
}

/* The name of Redis's command. Returns 0, or as pillion_error. */
static int check_name(const char *name, pillion_error_text *error)
{
    const char *why = unfit(name);

    if (why != NULL)
        return pillion_error(error, "%s cannot be a method: %s", name, why);
    if (name[0] != '\0' && name[strcspn(name, "$ \t\r\n")] == '\0')
        return 0;
    return pillion_error(error,
                         "\"%s\" cannot stand in a command as its first word: that is the name of "
                         "Redis's command alone, and its arguments are words of their own, not "
                         "quoted together with it: GET $key",
                         name);
}

/* True when the word is user:$id? or user:$ids..., of which neither can be. */
static bool is_half_param(const char *word)
{
    const char *dollar = strrchr(word, '$');
    size_t size = dollar == NULL ? 0 : strspn(dollar + 1, param_letters);

    return size > 0 &&
           (strcmp(dollar + 1 + size, "?") == 0 || strcmp(dollar + 1 + size, "...") == 0);
}

/* Reads $name, $name? or $names... Returns 0, or as pillion_error. */
static int read_param(struct command *command, size_t i, pillion_error_text *error)
{
    struct word *word = &command->words[i];
    const char *written = word->text;

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
    if (word->size == 0 || memchr(word->text, '?', word->size) != NULL ||
        ends_with(word->text, word->size, "..."))
        return pillion_error(error,
                             "\"%s\" cannot stand in a command: members of params are written "
                             "$name, $name? where they may be missing, and $names... for an array",
                             written);
    word->text = strndup(word->text, word->size);
    return word->text == NULL ? pillion_error(error, "out of memory") : 0;
}

int command_read(const pillion_list *words, struct command *command, pillion_error_text *error)
{
    if (check_name(words->items[0], error) != 0)
        return -1;
    command->words = calloc(words->count, sizeof(*command->words));
    if (command->words == NULL)
        return pillion_error(error, "out of memory");
    command->count = words->count;
    command->may_wait = strncasecmp(words->items[0], "XREAD", 5) == 0;
    for (size_t i = 0; i < words->count; i++) {
        struct word *word = &command->words[i];
        *word = (struct word){.text = words->items[i], .size = strlen(words->items[i])};
        size_t inner = i == 0 ? 0 : inner_param(word->text);
        if (inner > 0) {
            *word = (struct word){.is_param = true,
                                  .prefix = word->text,
                                  .prefix_size = inner,
                                  .text = word->text + inner + 1,
                                  .size = word->size - inner - 1};
        } else if (word->text[0] == '$') {
            if (read_param(command, i, error) != 0)
                return -1;
        } else if (is_half_param(word->text)) {
            return pillion_error(error,
                                 "\"%s\" cannot stand in a command: a member of params that may be "
                                 "missing, or is an array, is a word of its own",
                                 word->text);
        }
    }
    return 0;
}

static bool add(struct arguments *arguments, const char *data, size_t size)
{
    arguments->data[arguments->count] = data;
    arguments->sizes[arguments->count++] = size;
    return true;
}

/* Adds an argument with the fixed text that precedes it in its word, as in user:$id. */
static bool add_behind(pillion_request *req, struct arguments *arguments, const struct word *word,
                       const char *data, size_t size)
{
    if (word->prefix_size == 0)
        return add(arguments, data, size);
    char *whole = pillion_alloc(req, word->prefix_size + size);
    if (whole == NULL) {
        pillion_fail(req, PILLION_OVERLOADED, "out of memory");
        return false;
    }
    memcpy(whole, word->prefix, word->prefix_size);
    memcpy(whole + word->prefix_size, data, size);
    return add(arguments, whole, word->prefix_size + size);
}

static bool refuse(pillion_request *req, const struct word *word, const char *what)
{
    pillion_fail(req, PILLION_INVALID_PARAMS, "\"%.*s\" %s", (int)word->size, word->text, what);
    return false;
}

/* Adds a string that has escapes. */
static bool add_escaped(pillion_request *req, struct arguments *arguments, const struct word *word,
                        pillion_bytes text)
{
    if (json_has_nul(text))
        return refuse(req, word, "holds \\u0000, which is not supported");
    cJSON *string = cJSON_ParseWithLength(text.data, text.size);
    if (string == NULL)
        return refuse(req, word, "holds half of a surrogate pair, which is no text");
    size_t size = strlen(string->valuestring);
    char *plain = pillion_alloc(req, size + 1);
    if (plain != NULL)
        memcpy(plain, string->valuestring, size);
    cJSON_Delete(string);
    if (plain != NULL)
        return add_behind(req, arguments, word, plain, size);
    pillion_fail(req, PILLION_OVERLOADED, "out of memory");
    return false;
}

/* Adds a value: a string, or a number as it is written. Text that needs no decoding is passed on as
 * it is. */
static bool add_value(pillion_request *req, struct arguments *arguments, const struct word *word,
                      pillion_bytes text)
{
    if (text.data[0] == '"' && memchr(text.data, '\\', text.size) != NULL)
        return add_escaped(req, arguments, word, text);
    if (text.data[0] == '"')
        return add_behind(req, arguments, word, text.data + 1, text.size - 2);
    if (text.data[0] == '-' || (text.data[0] >= '0' && text.data[0] <= '9'))
        return add_behind(req, arguments, word, text.data, text.size);
    return refuse(req, word,
                  word->spreads ? "must be a string or a number, or an array of them"
                                : "must be a string or a number");
}

/* The text of an array's next element, empty at its end; `rest` begins behind "[" or ",". The array
 * is valid JSON of strings and numbers, up to the first that is neither. */
static pillion_bytes next_element(pillion_bytes *rest)
{
    const char *at = rest->data, *end = at + rest->size;

    while (at < end && strchr(" \t\r\n", *at) != NULL)
        at++;
    const char *start = at;
    if (*at == '"') {
        for (at++; *at != '"'; at++)
            at += *at == '\\';
        at++;
    }
    while (at < end && strchr(", \t\r\n]", *at) == NULL)
        at++;
    pillion_bytes element = {start, (size_t)(at - start)};
    while (at < end && *at != ',')
        at++;
    at += at < end;
    *rest = (pillion_bytes){at, (size_t)(end - at)};
    return element;
}

/* The value that params have for the word; {NULL, 0} when they have none. */
static pillion_bytes member(pillion_request *req, const struct word *word)
{
    pillion_bytes text = pillion_json_member(pillion_params_raw(req), word->text);

    if (word->optional && text.size > 0 && text.data[0] == 'n') /* null */
        return (pillion_bytes){NULL, 0};
    return text;
}

static bool is_array(pillion_bytes text)
{
    return text.size > 0 && text.data[0] == '[';
}

static pillion_bytes elements(pillion_bytes array)
{
    return (pillion_bytes){array.data + 1, array.size - 1};
}

static size_t count_elements(pillion_bytes array)
{
    pillion_bytes rest = elements(array);
    size_t count = 0;

    while (next_element(&rest).size > 0)
        count++;
    return count;
}

static bool add_word(pillion_request *req, struct arguments *arguments, const struct word *word)
{
    if (word->leads && member(req, word + 1).data == NULL)
        return true;
    if (!word->is_param)
        return add(arguments, word->text, word->size);
    pillion_bytes text = member(req, word), element;
    if (text.data == NULL && word->optional)
        return true;
    if (text.data == NULL)
        return refuse(req, word, "is missing in params");
    if (!word->spreads || !is_array(text))
        return add_value(req, arguments, word, text);
    pillion_bytes rest = elements(text);
    while ((element = next_element(&rest)).size > 0) {
        if (!add_value(req, arguments, word, element))
            return false;
    }
    return true;
}

/* XREAD and XREADGROUP wait when they are told to with BLOCK, before STREAMS. */
static bool would_wait(const struct arguments *arguments)
{
    for (size_t i = 1; i < arguments->count; i++) {
        if (arguments->sizes[i] == 7 && strncasecmp(arguments->data[i], "STREAMS", 7) == 0)
            return false;
        if (arguments->sizes[i] == 5 && strncasecmp(arguments->data[i], "BLOCK", 5) == 0)
            return true;
    }
    return false;
}

static bool fill(pillion_request *req, const struct command *command, struct arguments *arguments)
{
    size_t most = command->count;

    for (size_t i = 0; i < command->count; i++) {
        pillion_bytes text =
            command->words[i].spreads ? member(req, &command->words[i]) : (pillion_bytes){NULL, 0};
        if (is_array(text))
            most += count_elements(text);
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
        if (!add_word(req, arguments, &command->words[i]))
            return false;
    }
    if (!command->may_wait || !would_wait(arguments))
        return true;
    pillion_fail(req, PILLION_INVALID_PARAMS,
                 "BLOCK is not supported: all requests that share the connection would wait");
    return false;
}

/* ---- The protocol's form of a command: an array of strings, "*2\r\n$3\r\nGET\r\n$1\r\na\r\n" ----
 */

#define COUNT_MAX 24 /* bytes of "*COUNT\r\n" */

static char *put_count(char *to, char mark, size_t count)
{
    char digits[20];
    size_t size = 0;

    do
        digits[size++] = (char)('0' + count % 10);
    while ((count /= 10) > 0);
    *to++ = mark;
    while (size > 0)
        *to++ = digits[--size];
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

/* hiredis can do this too, but takes three times as long: it allocates a string for each part. */
static bool encode(pillion_request *req, const struct arguments *arguments, pillion_bytes *encoded)
{
    size_t most = COUNT_MAX;

    for (size_t i = 0; i < arguments->count; i++)
        most += COUNT_MAX + arguments->sizes[i] + 2;
    char *start = pillion_alloc(req, most), *to = start;
    if (start == NULL) {
        pillion_fail(req, PILLION_OVERLOADED, "out of memory");
        return false;
    }
    to = put_count(to, '*', arguments->count);
    for (size_t i = 0; i < arguments->count; i++) {
        to = put_count(to, '$', arguments->sizes[i]);
        memcpy(to, arguments->data[i], arguments->sizes[i]);
        to += arguments->sizes[i];
        *to++ = '\r';
        *to++ = '\n';
    }
    *encoded = (pillion_bytes){start, (size_t)(to - start)};
    return true;
}

bool command_make(pillion_request *req, const struct command *command, pillion_bytes *encoded)
{
    struct arguments arguments;
    return fill(req, command, &arguments) && encode(req, &arguments, encoded);
}
