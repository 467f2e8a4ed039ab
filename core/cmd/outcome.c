/* Printing what a call has come to. See outcome.h.
 *
 * Nothing here parses a number and prints it anew. */
#include "cmd/outcome.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/json.h"

/* The place after the value at `p`, in JSON that was checked. */
static const char *skip_value(const char *p, const char *end)
{
    unsigned depth = 0;

    for (; p < end; p++) {
        if (depth == 0 && strchr(",}] \t\r\n", *p) != NULL)
            return p;
        if (*p == '"') {
            for (p++; *p != '"'; p++)
                p += *p == '\\' ? 1 : 0;
        } else if (*p == '{' || *p == '[') {
            depth++;
            continue;
        } else if (*p == '}' || *p == ']') {
            depth--;
        } else {
            continue;
        }
        if (depth == 0)
            return p + 1;
    }
    return end;
}

/* The value of a member of the object `body`, as it was received; data NULL when there is none. The
 * server writes its own names without escapes. */
static struct bytes find_member(struct bytes body, const char *name)
{
    const char *end = body.data + body.size;
    const char *p = body.data + strspn(body.data, " \t\r\n");

    if (*p != '{')
        return (struct bytes){0};
    p++;
    for (;;) {
        p += strspn(p, " \t\r\n,");
        if (p >= end || *p != '"')
            return (struct bytes){0};
        struct bytes found = {p + 1, (size_t)(skip_value(p, end) - p) - 2};
        p += found.size + 2;
        p += strspn(p, " \t\r\n:");
        const char *value = p;
        p = skip_value(p, end);
        if (bytes_equal(found, bytes_of(name)))
            return (struct bytes){value, (size_t)(p - value)};
    }
}

/* "CODE: MESSAGE" of an error's result, or the result as it is where a server has its own form. */
static void print_error(struct bytes result)
{
    cJSON *tree = cJSON_ParseWithLength(result.data, result.size);
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(tree, "code");
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(tree, "message");

    if (cJSON_IsString(code) && cJSON_IsString(message))
        fprintf(stderr, "%s: %s\n", code->valuestring, message->valuestring);
    else
        fprintf(stderr, "error: %.*s\n", (int)result.size, result.data);
    cJSON_Delete(tree);
}

int outcome_print(const struct command *self, const char *from, struct bytes body)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct json_error error;

    if (!json_check(body, &limits, &error))
        return command_failed(self, EXIT_NO_SERVER, "%s sent a reply that is not JSON: %s", from,
                              error.reason);
    struct bytes out = find_member(body, "out");
    struct bytes result = find_member(body, "result");
    if (out.data == NULL || result.data == NULL)
        return command_failed(self, EXIT_NO_SERVER, "%s sent a reply without \"out\" or \"result\"",
                              from);
    if (bytes_equal(out, BYTES("\"error\""))) {
        print_error(result);
        return EXIT_FAILURE;
    }
    fwrite(result.data, 1, result.size, stdout);
    putchar('\n');
    return command_flush(self, EXIT_SUCCESS);
}
