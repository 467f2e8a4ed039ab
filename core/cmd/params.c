/* Reading PARAMS and making the request. See params.h. */
#include "cmd/params.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/directive.h"
#include "wire/frame.h"
#include "wire/json.h"

#define SHOWN_BYTES 60 /* of a line that is shown with a caret below */

/* At most what a frame can carry, and one byte more to tell that there was more. */
static bool read_all(int fd, struct text *to)
{
    char buffer[65536];
    ssize_t size;

    while (to->size <= FRAME_BODY_MAX && (size = read(fd, buffer, sizeof(buffer))) != 0) {
        if (size < 0 && errno != EINTR)
            return false;
        if (size > 0)
            text_append(to, (struct bytes){buffer, (size_t)size});
    }
    return true;
}

/* "pillion call: PARAMS is not JSON: at byte 6: …", the line, and a caret. */
static int bad_params(const struct command *self, struct bytes text, const struct json_error *error)
{
    size_t start = error->offset, end = error->offset;

    while (start > 0 && text.data[start - 1] != '\n' && error->offset - start < SHOWN_BYTES)
        start--;
    while (end < text.size && text.data[end] != '\n' && end - start < SHOWN_BYTES + 20)
        end++;
    command_failed(self, EXIT_USAGE, "PARAMS is not JSON: at byte %zu: %s", error->offset,
                   error->reason);
    int caret = 0;
    fputs("    ", stderr);
    for (size_t i = start; i < end; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool continued = (c & 0xc0) == 0x80;
        caret += i < error->offset && !continued ? 1 : 0;
        fputc(c < ' ' || c == 0x7f ? ' ' : c, stderr);
    }
    fprintf(stderr, "\n    %*s^\n", caret, "");
    return EXIT_USAGE;
}

int params_read(const struct command *self, const char *operand, struct text *params)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct json_error error;

    if (operand == NULL)
        operand = "null";
    if (strcmp(operand, "-") != 0)
        text_append_string(params, operand);
    else if (!read_all(STDIN_FILENO, params))
        return command_failed(self, EXIT_USAGE, "cannot read standard input: %s", strerror(errno));
    struct bytes text = {text_string(params), params->size};
    if (text.size > FRAME_BODY_MAX)
        return command_failed(self, EXIT_USAGE, "PARAMS is larger than any frame may be (128m)");
    return json_check(text, &limits, &error) ? 0 : bad_params(self, text, &error);
}

int members_check(const struct command *self, const char *members)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct json_error error;
    const char *first = members + strspn(members, " \t\r\n");

    if (*first == '{' && first[1 + strspn(first + 1, " \t\r\n")] == '"' &&
        json_check(bytes_of(members), &limits, &error))
        return 0;
    return command_misused(self, "--members takes a JSON object with members, not \"%s\"", members);
}

void params_request(const char *method, const struct text *params, const char *members,
                    struct text *request)
{
    text_append_string(request, "{\"in\": \"");
    text_append_json(request, bytes_of(method));
    text_append_string(request, "\", \"params\": ");
    text_append(request, (struct bytes){params->data, params->size});
    if (members != NULL) { /* "{…}" and "{…}": one object of both */
        const char *first = strchr(members, '{') + 1;
        text_printf(request, ", %.*s", (int)(strrchr(members, '}') - first), first);
    }
    text_append_char(request, '}');
}

bool timeout_read(const char *text, uint64_t *ms)
{
    struct conf_errors errors = {0};
    struct conf_apply apply = {.tree = conf_tree_new("/"), .errors = &errors};
    const struct conf_word word = {.text = text};

    bool good = conf_read_time(&apply, &word, ms) && *ms < UINT64_C(1) << 40;
    conf_tree_free(apply.tree);
    conf_errors_free(&errors);
    return good;
}
