/* Printing what a call has come to. See outcome.h.
 *
 * Nothing here parses a number and prints it anew. */
#include "cmd/outcome.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/json.h"

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
    struct bytes out = envelope_member(body, BYTES("out"));
    struct bytes result = envelope_member(body, BYTES("result"));
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
