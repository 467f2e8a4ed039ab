/* Reading PARAMS and making the request. See params.h. */
#include "cmd/params.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_escape.h"
#include "base/printable.h"
#include "cmd/named.h"
#include "conf/directive.h"
#include "wire/frame.h"
#include "wire/json.h"

#define SHOWN_BYTES 60 /* of a line that is shown with a caret */

/* Reads as much as a frame can carry, and one byte more to notice larger input. */
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

/* Shows the line of `text` in which `at` is, and a caret below it. Where the text lacks something
 * at its end, that is behind the last line that has something. */
static void show_place(struct bytes text, size_t at)
{
    char shown[PRINTABLE_SIZE];
    int caret = 0;

    while (at > 0 && at == text.size && strchr(" \t\r\n", text.data[at - 1]) != NULL)
        at = --text.size;
    if (text.size == 0)
        return;
    size_t start = at, end = at, size;
    while (start > 0 && text.data[start - 1] != '\n' && at - start < SHOWN_BYTES)
        start--;
    while (end < text.size && text.data[end] != '\n' && end - start < SHOWN_BYTES + 20)
        end++;
    fputs("    ", stderr);
    for (size_t i = start; i < end; i += size) {
        size = printable_next((struct bytes){text.data + i, end - i}, shown);
        caret += i < at ? 1 : 0;
        if (shown[0] == '\0')
            fwrite(text.data + i, 1, size, stderr);
        else
            fputc(' ', stderr);
    }
    fprintf(stderr, "\n    %*s^\n", caret, "");
}

/* "pillion call: PARAMS is not JSON: …, at byte 6", the line, and a caret. `where` is the place of
 * PARAMS among others. */
static int bad_params(const struct command *self, const char *where, struct bytes text,
                      const struct json_error *error)
{
    command_failed(self, EXIT_USAGE, "%sPARAMS is not JSON: %s, at byte %zu", where, error->reason,
                   error->offset);
    show_place(text, error->offset);
    return EXIT_USAGE;
}

/* Suggests the correct form for the most common mistakes. */
static void hint(const char *operand, struct bytes text)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    const char *line_end = memchr(text.data, '\n', text.size);
    struct json_error error;
    struct text quoted = {0};

    if (operand[0] == '@')
        return;
    if (strcmp(operand, "-") == 0) {
        if (line_end != NULL &&
            json_check((struct bytes){text.data, (size_t)(line_end - text.data)}, &limits, &error))
            fputs("    for a call of each line, give --lines\n", stderr);
    } else if (named_is(operand)) {
        fputs("    NAME=VALUE is for `pillion call` and `pillion try`; here it is "
              "'{\"NAME\": VALUE}'\n",
              stderr);
    } else if (text.size > 0 && text.size <= SHOWN_BYTES &&
               strpbrk(operand, "{}[]\"'\\\n") == NULL) {
        text_append_json_printable(&quoted, text);
        fprintf(stderr, "    a string needs quotes: '\"%s\"'\n", text_string(&quoted));
    }
    text_free(&quoted);
}

/* 0, or the exit status after saying what is wrong. */
static int read_file(const struct command *self, const char *path, struct text *params)
{
    int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                    : open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && read_all(fd, params);

    int status = good ? 0 : command_failed_errno(self, EXIT_USAGE, "cannot read %s", path);
    if (fd >= 0)
        close(fd);
    return status;
}

int params_read(const struct command *self, const char *operand, struct text *params)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct json_error error;

    if (operand == NULL)
        operand = "null";
    if (strcmp(operand, "@") == 0)
        return command_misused(self, "@ needs a FILE behind it");
    if (operand[0] == '@') {
        int status = read_file(self, operand + 1, params);
        if (status != 0)
            return status;
    } else if (strcmp(operand, "-") != 0)
        text_append_string(params, operand);
    else if (!read_all(STDIN_FILENO, params))
        return command_failed_errno(self, EXIT_USAGE, "cannot read standard input");
    struct bytes text = {text_string(params), params->size};
    if (text.size > FRAME_BODY_MAX)
        return command_failed(self, EXIT_USAGE, "PARAMS is larger than any frame may be (128m)");
    if (json_check(text, &limits, &error))
        return 0;
    struct text where = {0};
    if (operand[0] == '@')
        text_printf(&where, "%s: ", operand + 1);
    bad_params(self, text_string(&where), text, &error);
    text_free(&where);
    hint(operand, text);
    return EXIT_USAGE;
}

int params_take_line(const struct command *self, struct bytes line, unsigned long number,
                     struct text *params)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct json_error error;
    char where[32];

    if (line.size > 0 && line.data[line.size - 1] == '\n')
        line.size--;
    snprintf(where, sizeof(where), "line %lu: ", number);
    if (line.size > FRAME_BODY_MAX)
        return command_failed(self, EXIT_USAGE, "%sPARAMS is larger than any frame may be (128m)",
                              where);
    text_append(params, line);
    return json_check(line, &limits, &error) ? 0 : bad_params(self, where, line, &error);
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

/* The first byte of JSON text. */
static char first_of(const struct text *params)
{
    size_t at = 0;

    while (strchr(" \t\r\n", params->data[at]) != NULL)
        at++;
    return params->data[at];
}

int params_check_jsonrpc(const struct command *self, const struct text *params)
{
    if (strchr("{[n", first_of(params)) != NULL)
        return 0;
    return command_failed(self, EXIT_USAGE, "with --jsonrpc, PARAMS is an object or an array");
}

void params_request(const char *method, const struct text *params, const char *members,
                    bool jsonrpc, struct text *request)
{
    text_append_string(request, jsonrpc ? "{\"jsonrpc\": \"2.0\", \"method\": \"" : "{\"in\": \"");
    text_append_json(request, bytes_of(method));
    text_append_char(request, '"');
    if (!jsonrpc || first_of(params) != 'n') { /* null is no value that params may have there */
        text_append_string(request, ", \"params\": ");
        text_append(request, (struct bytes){params->data, params->size});
    }
    if (jsonrpc) /* without one, it would be a notification */
        text_append_string(request, ", \"id\": 1");
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
