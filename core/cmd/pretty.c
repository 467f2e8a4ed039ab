/* JSON for people. See pretty.h. The text is valid, so nothing here looks for errors. */
#include "cmd/pretty.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/printable.h"

#define STEP 2u /* columns for each level */

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && strchr(" \t\r\n", *p) != NULL)
        p++;
    return p;
}

/* The end of the string, number or word that begins at `p`. */
static const char *scalar_end(const char *p, const char *end)
{
    if (*p != '"') {
        while (p < end && strchr(" \t\r\n,:]}", *p) == NULL)
            p++;
        return p;
    }
    for (p++; *p != '"'; p++)
        p += *p == '\\';
    return p + 1;
}

static bool is_bracket(char c)
{
    return c == '[' || c == '{' || c == ']' || c == '}';
}

static size_t columns(struct bytes text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

/* Appends the value at `p` on one line. Its end; or NULL when it needs more than `room` columns. */
static const char *append_line(struct text *out, const char *p, const char *end, size_t room)
{
    size_t start = out->size, depth = 0;

    do {
        p = skip_space(p, end);
        const char *next = is_bracket(*p) || *p == ',' || *p == ':' ? p + 1 : scalar_end(p, end);
        depth += *p == '[' || *p == '{';
        depth -= *p == ']' || *p == '}';
        text_append_printable(out, (struct bytes){p, (size_t)(next - p)});
        if (*p == ',' || *p == ':')
            text_append_char(out, ' ');
        if (out->size - start > room &&
            columns((struct bytes){out->data + start, out->size - start}) > room)
            return NULL;
        p = next;
    } while (depth > 0);
    return p;
}

static void new_line(struct text *out, unsigned indent)
{
    text_printf(out, "\n%*s", (int)indent, "");
}

/* True for values that are never broken into lines: scalars, [] and {}. */
static bool has_one_form(const char *p, const char *end)
{
    if (*p != '[' && *p != '{')
        return true;
    p = skip_space(p + 1, end);
    return *p == ']' || *p == '}';
}

/* Appends the value at `p`; its end. `used` columns of the line are taken. */
static const char *append_value(struct text *out, const char *p, const char *end, unsigned indent,
                                size_t used)
{
    struct text line = {0};
    bool object = *p == '{';
    bool bare = has_one_form(p, end);

    /* One column is for the comma. */
    size_t room = bare ? SIZE_MAX : used + 1 < PRETTY_WIDTH ? PRETTY_WIDTH - 1 - used : 0;
    const char *whole = append_line(&line, p, end, room);
    if (whole != NULL)
        text_append(out, (struct bytes){line.data, line.size});
    text_free(&line);
    if (whole != NULL)
        return whole;
    text_append_char(out, *p++);
    for (;;) {
        size_t start = out->size + 1;
        new_line(out, indent + STEP);
        p = skip_space(p, end);
        if (object) {
            const char *name_end = scalar_end(p, end);
            text_append_printable(out, (struct bytes){p, (size_t)(name_end - p)});
            text_append_string(out, ": ");
            p = skip_space(skip_space(name_end, end) + 1, end);
        }
        size_t taken = columns((struct bytes){out->data + start, out->size - start});
        p = skip_space(append_value(out, p, end, indent + STEP, taken), end);
        if (*p != ',')
            break;
        text_append_char(out, *p++);
    }
    new_line(out, indent);
    text_append_char(out, *p++);
    return p;
}

void pretty_append(struct text *out, struct bytes json, unsigned indent)
{
    const char *end = json.data + json.size;

    append_value(out, skip_space(json.data, end), end, indent, indent);
}

void pretty_append_line(struct text *out, struct bytes json)
{
    append_line(out, json.data, json.data + json.size, SIZE_MAX);
}

/* The colour of the scalar at `p`, by number of SGR (ECMA-48 section 8.3.117). */
static int colour_of(const char *p, const char *next, const char *end)
{
    enum { GREEN = 32, YELLOW, BLUE, MAGENTA, CYAN };

    if (*p == '"')
        return next < end && *next == ':' ? CYAN : GREEN;
    return *p == 't' || *p == 'f' || *p == 'n' ? MAGENTA : YELLOW;
}

void pretty_colour(struct text *out, struct bytes shown)
{
    const char *p = shown.data, *end = shown.data + shown.size;

    while (p < end) {
        if (strchr(" \t\r\n,:[]{}", *p) != NULL) {
            text_append_char(out, *p++);
            continue;
        }
        const char *next = scalar_end(p, end);
        text_printf(out, "\033[%dm", colour_of(p, next, end));
        text_append(out, (struct bytes){p, (size_t)(next - p)});
        text_append_string(out, "\033[0m");
        p = next;
    }
}

bool pretty_wants_colour(void)
{
    const char *refused = getenv("NO_COLOR"), *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && (refused == NULL || refused[0] == '\0') && terminal != NULL &&
           terminal[0] != '\0' && strcmp(terminal, "dumb") != 0;
}
