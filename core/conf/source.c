/* Errors that show the line that they are about. See source.h.
 *
 * Characters of a file or message that base/printable.h hides, and bytes that are not UTF-8, are
 * printed as "?", so that a damaged file cannot control an operator's terminal. */
#include "conf/source.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/printable.h"

#define MESSAGE_MAX  4096u /* bytes of a message, which may quote a very long word */
#define SHOWN_BEFORE 60u   /* bytes of a line that are shown before the place, … */
#define SHOWN_IN_ALL 120u  /* … and in all, before "..." stands for the rest */

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Appends the character at `data` or, where it cannot be shown, "?". Returns its size. */
static size_t append_clean(struct text *out, const char *data, size_t size)
{
    char shown[PRINTABLE_SIZE];
    size_t length = printable_next((struct bytes){data, size}, shown);

    if (shown[0] != '\0') /* an escape would take more than one column */
        text_append_char(out, '?');
    else
        text_append(out, (struct bytes){data, length});
    return length;
}

static void append_message(struct text *out, const struct text *message)
{
    size_t size = message->size > MESSAGE_MAX ? MESSAGE_MAX : message->size;

    for (size_t i = 0; i < size;)
        i += append_clean(out, message->data + i, message->size - i);
    if (size < message->size)
        text_append_string(out, "...");
}

/* The part of the place's line that is shown. */
struct window {
    size_t from, to; /* offsets in the source's text */
    bool cut_before, cut_after;
};

static struct window window_around(const struct conf_place *place)
{
    struct bytes text = place->source->text;
    size_t start = place->offset > text.size ? text.size : place->offset;
    size_t end = start;

    while (start > 0 && text.data[start - 1] != '\n')
        start--;
    while (end < text.size && text.data[end] != '\n')
        end++;
    if (end > start && text.data[end - 1] == '\r')
        end--;

    struct window window = {.from = start, .to = end};
    if (place->offset > start + SHOWN_BEFORE) {
        window.from = place->offset - SHOWN_BEFORE;
        while (window.from > start && is_continuation(text.data[window.from]))
            window.from--;
    }
    if (end > window.from + SHOWN_IN_ALL) {
        window.to = window.from + SHOWN_IN_ALL;
        while (window.to < end && is_continuation(text.data[window.to]))
            window.to++;
    }
    window.cut_before = window.from > start;
    window.cut_after = window.to < end;
    return window;
}

/* The line, and below it the caret. Both are built together, one column for each character. */
static void append_line(struct text *out, const struct conf_place *place)
{
    const char *data = place->source->text.data;
    struct window window = window_around(place);
    struct text line = {0}, caret = {0};
    char number[16];
    bool begun = false;

    if (window.cut_before) {
        text_append_string(&line, "...");
        text_append_string(&caret, "   ");
    }
    for (size_t i = window.from; i < window.to;) {
        if (i >= place->offset && (!begun || i < place->offset + place->size)) {
            text_append_char(&caret, begun ? '~' : '^');
            begun = true;
        } else if (i < place->offset) {
            text_append_char(&caret, data[i] == '\t' ? '\t' : ' ');
        }
        if (data[i] == '\t') {
            text_append_char(&line, '\t');
            i++;
        } else {
            i += append_clean(&line, data + i, window.to - i);
        }
    }
    if (window.cut_after)
        text_append_string(&line, "...");
    if (!begun)
        text_append_char(&caret, '^');
    int width = snprintf(number, sizeof(number), "%5u", place->line);
    text_printf(out, "%s | %s\n%*s | %s\n", number, text_string(&line), width, "",
                text_string(&caret));
    text_free(&line);
    text_free(&caret);
}

/* A statement may be read for several methods: its mistake is told once. */
static bool is_told(const struct conf_errors *errors, const struct text *line)
{
    return errors->text.size > 0 && strstr(errors->text.data, line->data) != NULL;
}

static void append_error(struct conf_errors *errors, const struct conf_place *place,
                         const struct text *line)
{
    errors->count++;
    if (errors->count == CONF_ERRORS_MAX + 1)
        text_append_string(&errors->text, "There are more errors; these come first.\n");
    if (errors->count > CONF_ERRORS_MAX)
        return;
    text_append(&errors->text, (struct bytes){line->data, line->size});
    if (place != NULL && place->source != NULL && place->line > 0)
        append_line(&errors->text, place);
}

void conf_error(struct conf_errors *errors, const struct conf_place *place, const char *format, ...)
{
    struct text message = {0}, line = {0};
    va_list args;

    bool known = place != NULL && place->source != NULL;
    if (known && place->line > 0)
        text_printf(&message, "%s:%u:%u: ", place->source->name, place->line, place->column);
    else if (known)
        text_printf(&message, "%s: ", place->source->name);
    va_start(args, format);
    text_vprintf(&message, format, args);
    va_end(args);
    append_message(&line, &message);
    text_append_char(&line, '\n');
    if (!is_told(errors, &line))
        append_error(errors, place, &line);
    text_free(&message);
    text_free(&line);
}

struct conf_place conf_place_after(const struct conf_place *place)
{
    struct conf_place after = *place;

    after.size = 1;
    if (place->source == NULL)
        return after;
    for (; after.offset < place->offset + place->size; after.offset++) {
        char c = place->source->text.data[after.offset];
        if (c == '\n') {
            after.line++;
            after.column = 1;
        } else if (!is_continuation(c)) {
            after.column++;
        }
    }
    return after;
}

void conf_errors_free(struct conf_errors *errors)
{
    text_free(&errors->text);
    errors->count = 0;
}
