/* A schema, a line feed, and a value. Whatever they are, checking ends soon, reads no byte too
 * many, and:
 * - a walk that stops at the first fault (a trial, as in `not`) finds what one finds that goes on;
 * - a value is its own const, one of an enum with it, and not unique beside itself;
 * - faults are lines of UTF-8 that any log may hold. */
#include "fuzz.h"

#include <string.h>

#include "rpc/schema.h"
#include "rpc/schema_check.h"
#include "wire/json.h"

static struct pool pool;
static const char *sentence; /* of the first fault */

static void check_line(const char *text)
{
    for (size_t i = 0, size = strlen(text), length; i < size; i += length) {
        length = utf8_sequence(text + i, size - i);
        require(length > 0 && (unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
    }
}

static bool takes(const struct schema *schema, struct bytes value)
{
    struct faults faults = {.pool = &pool};

    pool_reset(&pool);
    schema_check(schema, value, "params", &faults);
    require(!faults.exhausted);
    for (size_t i = 0; i < faults.count && i < FAULTS_MAX; i++) {
        check_line(faults.of[i]->path);
        check_line(faults.of[i]->text);
    }
    sentence = faults.count == 0 ? "" : faults.of[0]->text;
    return faults.count == 0;
}

/* True when the check did not come to a verdict. */
static bool gave_up(void)
{
    return strstr(sentence, "takes too much work") != NULL ||
           strstr(sentence, "is nested too deeply") != NULL;
}

/* The verdict by a schema with `text` in it. */
static bool takes_within(const char *before, struct bytes text, const char *behind,
                         struct bytes value)
{
    struct text whole = {0};
    struct error error;

    text_append_string(&whole, before);
    text_append(&whole, text);
    text_append_string(&whole, behind);
    struct schema *schema = schema_make((struct bytes){whole.data, whole.size}, &error);
    bool good = schema != NULL && takes(schema, value);
    if (schema == NULL)
        sentence = "is nested too deeply"; /* a schema that was at its limits */
    text_free(&whole);
    schema_free(schema);
    return good;
}

static void check_itself(struct bytes value)
{
    struct text twice = {0};

    require(takes_within("{\"const\":", value, "}", value) || gave_up());
    require(takes_within("{\"enum\":[1,[],", value, ",null]}", value) || gave_up());
    text_append_char(&twice, '[');
    text_append(&twice, value);
    text_append_char(&twice, ',');
    text_append(&twice, value);
    text_append_char(&twice, ']');
    require(!takes_within("{\"uniqueItems\":true", BYTES(""), "}",
                          (struct bytes){twice.data, twice.size}));
    text_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct json_limits limits = {.depth = 64, .values = 100000};
    const char *text = (const char *)data, *line = memchr(data, '\n', size);
    struct json_error fault;
    struct error error = {.text = ""};

    if (line == NULL)
        return 0;
    struct bytes written = {text, (size_t)(line - text)};
    struct bytes rest = {line + 1, size - written.size - 1};
    struct schema *schema = schema_make(written, &error);
    require(schema != NULL || error.text[0] != '\0');
    if (!json_check(rest, &limits, &fault)) {
        schema_free(schema);
        return 0;
    }
    char *copy = malloc(rest.size); /* whose end a sanitizer sees */
    memcpy(copy, rest.data, rest.size);
    struct bytes value = {copy, rest.size};
    check_itself(value);
    if (schema != NULL) {
        bool good = takes(schema, value), decided = !gave_up();
        /* References to the whole are others there. */
        if (decided && memchr(text, '#', written.size) == NULL) {
            bool opposite = takes_within("{\"not\":", written, "}", value);
            require(opposite != good || gave_up());
        }
    }
    free(copy);
    schema_free(schema);
    return 0;
}
