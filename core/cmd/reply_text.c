/* Printing replies. See reply_text.h.
 *
 * Nothing here parses a number and prints it anew. */
#include "cmd/reply_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/printable.h"
#include "cmd/pretty.h"
#include "cmd/said.h"
#include "wire/envelope.h"

void reply_text_append_string(struct text *out, struct bytes string)
{
    char *text = must_alloc(string.size);
    long size = json_string_text(string, text, string.size);

    if (size >= 0)
        text_append_line(out, (struct bytes){text, (size_t)size});
    else /* half of a surrogate pair: as it was written */
        text_append_line(out, string);
    free(text);
}

static bool is_string(struct bytes value)
{
    return value.data != NULL && value.data[0] == '"';
}

/* What the server says over HTTP of a request that it does not take as a message. */
static bool is_bare_error(struct bytes body)
{
    return is_string(envelope_member(body, BYTES("code"))) &&
           is_string(envelope_member(body, BYTES("message")));
}

struct bytes reply_text_error(struct bytes body)
{
    struct bytes error = envelope_member(body, BYTES("error"));

    if (error.data == NULL && is_bare_error(body))
        return body;
    if (error.data == NULL)
        return envelope_member(body, BYTES("result"));
    struct bytes data =
        error.data[0] == '{' ? envelope_member(error, BYTES("data")) : (struct bytes){0};
    bool ours = data.data != NULL && data.data[0] == '{' &&
                envelope_member(data, BYTES("code")).data != NULL;
    return ours ? data : error;
}

void reply_text_append_error(struct text *out, struct bytes result)
{
    bool object = result.data != NULL && result.data[0] == '{';
    struct bytes code = object ? envelope_member(result, BYTES("code")) : (struct bytes){0};
    struct bytes message = object ? envelope_member(result, BYTES("message")) : (struct bytes){0};
    struct bytes retry = object ? envelope_member(result, BYTES("retry_after")) : (struct bytes){0};

    bool number = code.data != NULL && strchr("-0123456789", code.data[0]) != NULL;
    if ((is_string(code) || number) && is_string(message)) {
        if (number) /* of a server of JSON-RPC that is no Pillion */
            text_append(out, code);
        else
            reply_text_append_string(out, code);
        text_append_string(out, ": ");
        reply_text_append_string(out, message);
        if (retry.data != NULL && retry.data[0] >= '0' && retry.data[0] <= '9') {
            text_append_string(out, " (retry_after ");
            text_append(out, retry);
            text_append_char(out, ')');
        }
    } else {
        text_append_string(out, "error: ");
        text_append_line(out, result);
    }
}

static int fail_without(const struct command *self, const char *from, struct bytes body,
                        const char *what)
{
    struct text text = {0};

    text_printf(&text, "%s sent a reply without %s", from, what);
    said_append(&text, body);
    int status = command_failed(self, EXIT_NO_SERVER, "%s", text_string(&text));
    text_free(&text);
    return status;
}

/* The same for a reply of JSON-RPC. What the server itself says of an error is its `data`; of other
 * servers' errors all is shown. */
static int read_jsonrpc(const struct command *self, const char *from, struct bytes body,
                        bool *failed, struct bytes *result)
{
    struct bytes error = envelope_member(body, BYTES("error"));

    *failed = error.data != NULL;
    *result = *failed ? error : envelope_member(body, BYTES("result"));
    if (result->data == NULL)
        return fail_without(self, from, body, "\"result\" or \"error\"");
    *result = *failed ? reply_text_error(body) : *result;
    return 0;
}

int reply_text_read(const struct command *self, const char *from, struct bytes body, bool *failed,
                    struct bytes *result)
{
    const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = UINT32_MAX};
    struct json_error error;

    if (!json_check(body, &limits, &error))
        return command_failed(self, EXIT_NO_SERVER, "%s sent a reply that is not JSON: %s", from,
                              error.reason);
    bool object = body.data[strspn(body.data, " \t\r\n")] == '{'; /* the body ends with NUL */
    if (object && envelope_member(body, BYTES("jsonrpc")).data != NULL)
        return read_jsonrpc(self, from, body, failed, result);
    struct bytes out = object ? envelope_member(body, BYTES("out")) : (struct bytes){NULL, 0};
    *result = object ? envelope_member(body, BYTES("result")) : (struct bytes){NULL, 0};
    if (out.data == NULL && object && is_bare_error(body)) {
        *failed = true;
        *result = body;
        return 0;
    }
    if (out.data == NULL || result->data == NULL)
        return fail_without(self, from, body, "\"out\" or \"result\"");
    *failed = bytes_equal(out, BYTES("\"error\""));
    return 0;
}

static void print_error(const char *before, struct bytes result)
{
    struct text line = {0};

    reply_text_append_error(&line, result);
    fprintf(stderr, "%s%s\n", before, text_string(&line));
    text_free(&line);
}

/* Writes JSON that is as it may be shown, and a line end, to standard output. */
static void put_shown(const struct text *shown)
{
    struct text coloured = {0};
    const struct text *put = shown;

    if (pretty_wants_colour()) {
        pretty_colour(&coloured, (struct bytes){shown->data, shown->size});
        put = &coloured;
    }
    fwrite(put->data, 1, put->size, stdout);
    putchar('\n');
    text_free(&coloured);
}

int reply_text_print(const struct command *self, const char *from, struct bytes body)
{
    struct bytes result;
    bool failed;

    int status = reply_text_read(self, from, body, &failed, &result);
    if (status != 0)
        return status;
    if (failed) {
        print_error("", result);
        return EXIT_FAILURE;
    }
    struct text shown = {0};
    if (isatty(STDOUT_FILENO))
        pretty_append(&shown, result, 0);
    else
        text_append(&shown, result);
    put_shown(&shown);
    text_free(&shown);
    return command_flush(self, EXIT_SUCCESS);
}

int reply_text_print_line(const struct command *self, const char *from, struct bytes body,
                          unsigned long number)
{
    struct bytes result;
    char before[32];
    bool failed;

    int status = reply_text_read(self, from, body, &failed, &result);
    if (status != 0)
        return status;
    if (failed) {
        snprintf(before, sizeof(before), "line %lu: ", number);
        print_error(before, result);
        return EXIT_FAILURE;
    }
    struct text shown = {0};
    if (isatty(STDOUT_FILENO))
        pretty_append_line(&shown, result);
    else
        text_append(&shown, result);
    for (size_t i = 0; i < shown.size; i++) { /* only between values: strings have none */
        if (shown.data[i] == '\n' || shown.data[i] == '\r')
            shown.data[i] = ' ';
    }
    put_shown(&shown);
    text_free(&shown);
    return 0;
}
