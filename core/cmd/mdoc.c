/* From words and Markdown to mdoc(7). See mdoc.h.
 *
 * A macro has a line of its own, and the punctuation that touches its arguments is arguments too,
 * one by one: ".Ql ( on ) ." */
#include "cmd/mdoc.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>

#define LINE_MAX_SIZE 78u

/* ---- Characters ---- */

/* Appends the character at `c` and returns the next one. Those beyond ASCII are written by their
 * numbers, so that a page does not depend on the reader's locale (mandoc_char(7)). */
static const char *append_character(struct text *out, const char *c, bool code)
{
    static const char *const names[] = {
        ['"'] = "\\(dq", ['\\'] = "\\e",  ['-'] = "\\-",  ['\''] = "\\(aq",
        ['`'] = "\\(ga", ['^'] = "\\(ha", ['~'] = "\\(ti"};
    unsigned char first = (unsigned char)*c;

    if (first >= 0x80) {
        unsigned size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
        unsigned value = first & (0xffu >> (size + 1));
        while (--size > 0 && ((unsigned char)c[1] & 0xc0) == 0x80)
            value = value << 6 | ((unsigned char)*++c & 0x3fu);
        text_printf(out, "\\[u%04X]", value);
    } else if (first < sizeof(names) / sizeof(*names) && names[first] != NULL &&
               (code || first == '\\')) {
        text_append_string(out, names[first]);
    } else {
        text_append_char(out, (char)first);
    }
    return c + 1;
}

static void append_characters(struct text *out, struct bytes text, bool code)
{
    for (const char *c = text.data; c < text.data + text.size;)
        c = append_character(out, c, code);
}

void mdoc_argument(struct text *out, struct bytes argument)
{
    text_append_string(out, "\"\\&"); /* not the name of a macro, and no punctuation */
    append_characters(out, argument, true);
    text_append_char(out, '"');
}

/* ---- Words ---- */

static size_t column(const struct text *out)
{
    size_t at = out->size;

    while (at > 0 && out->data[at - 1] != '\n')
        at--;
    return out->size - at;
}

static void end_line(struct text *out)
{
    if (column(out) > 0)
        text_append_char(out, '\n');
}

static bool is_in(const char *set, char c)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* A word of plain text. A sentence ends its line. */
static void append_plain(struct text *out, struct bytes word)
{
    size_t end = word.size;

    if (column(out) > 0 && column(out) + 1 + word.size > LINE_MAX_SIZE)
        end_line(out);
    if (column(out) > 0)
        text_append_char(out, ' ');
    else if (is_in(".'", word.data[0]))
        text_append_string(out, "\\&");
    append_characters(out, word, false);
    while (end > 0 && is_in(")\"", word.data[end - 1]))
        end--;
    if (end > 1 && is_in(".?!", word.data[end - 1]))
        end_line(out);
}

/* What touches a macro's arguments: each mark an argument of its own, other text joined on. */
static void append_behind(struct text *out, struct bytes rest)
{
    size_t marks = 0;

    while (marks < rest.size && is_in(".,:;)]?!", rest.data[marks]))
        marks++;
    if (marks < rest.size) {
        text_append_string(out, " Ns ");
        mdoc_argument(out, rest);
        return;
    }
    for (size_t i = 0; i < marks; i++)
        text_printf(out, " %c", rest.data[i]);
}

/* A line of the macro with `argument`, between the text before and behind it, which touches it. */
static void append_macro(struct text *out, const char *macro, struct bytes before,
                         struct bytes argument, struct bytes behind)
{
    bool opens = before.size == 1 && is_in("([", before.data[0]);

    end_line(out);
    text_append_char(out, '.');
    if (before.size > 0 && !opens) {
        text_append_string(out, "No ");
        mdoc_argument(out, before);
        text_append_string(out, " Ns ");
    }
    text_append_string(out, macro);
    if (opens)
        text_printf(out, " %c", before.data[0]);
    text_append_char(out, ' ');
    mdoc_argument(out, argument);
    append_behind(out, behind);
    text_append_char(out, '\n');
}

/* "unix(7)", maybe in brackets and before punctuation. */
static bool append_reference(struct text *out, struct bytes word)
{
    size_t start = word.data[0] == '(', end = start;

    while (end < word.size &&
           (isalnum((unsigned char)word.data[end]) || is_in("_.-", word.data[end])))
        end++;
    bool is = end > start && end + 2 < word.size && word.data[end] == '(' &&
              word.data[end + 1] >= '1' && word.data[end + 1] <= '8' && word.data[end + 2] == ')';
    if (!is)
        return false;
    end_line(out);
    text_printf(out, ".Xr %s%.*s %c", start > 0 ? "( " : "", (int)(end - start), word.data + start,
                word.data[end + 1]);
    append_behind(out, (struct bytes){word.data + end + 3, word.size - end - 3});
    text_append_char(out, '\n');
    return true;
}

/* The part of the word between two times `mark`, with what is before and behind it. */
static bool append_marked(struct text *out, const char *macro, const char *mark, struct bytes word)
{
    size_t size = strlen(mark);
    const char *start = memmem(word.data, word.size, mark, size);
    const char *from = start == NULL ? NULL : start + size, *end = word.data + word.size;
    const char *to = from == NULL ? NULL : memmem(from, (size_t)(end - from), mark, size);

    if (to == NULL || to == from)
        return false;
    append_macro(out, macro, (struct bytes){word.data, (size_t)(start - word.data)},
                 (struct bytes){from, (size_t)(to - from)},
                 (struct bytes){to + size, (size_t)(end - to - (ptrdiff_t)size)});
    return true;
}

/* The size of the word at `words`; code and bold text are one word with what touches them. */
static size_t word_size(struct bytes words)
{
    size_t size = 0;
    bool code = false, bold = false;

    for (; size < words.size && (code || bold || !is_in(" \n", words.data[size])); size++) {
        if (words.data[size] == '`')
            code = !code;
        else if (!code && words.data[size] == '*' && size + 1 < words.size &&
                 words.data[size + 1] == '*') {
            bold = !bold;
            size++;
        }
    }
    return size;
}

/* "[text](address)" becomes its text. Appends the rest as it is. */
static void append_without_links(struct text *out, struct bytes words)
{
    const char *c = words.data, *end = c + words.size;

    while (c < end) {
        const char *middle = *c == '[' ? memmem(c, (size_t)(end - c), "](", 2) : NULL;
        const char *last = middle == NULL ? NULL : memchr(middle, ')', (size_t)(end - middle));
        bool link = last != NULL && memchr(c + 1, '[', (size_t)(middle - c - 1)) == NULL;
        if (!link) {
            text_append_char(out, *c++);
            continue;
        }
        text_append(out, (struct bytes){c + 1, (size_t)(middle - c - 1)});
        c = last + 1;
    }
}

void mdoc_words(struct text *out, struct bytes words)
{
    struct text clean = {0};

    append_without_links(&clean, words);
    const char *c = text_string(&clean);
    for (c += strspn(c, " \n"); *c != '\0'; c += strspn(c, " \n")) {
        struct bytes word = {c, word_size(bytes_of(c))};
        c += word.size;
        bool bold = word.size > 6 && memcmp(word.data, "**`", 3) == 0 &&
                    memcmp(word.data + word.size - 3, "`**", 3) == 0;
        if (bold) /* code in bold is code */
            word = (struct bytes){word.data + 2, word.size - 4};
        if (!append_marked(out, "Ql", "`", word) && !append_marked(out, "Sy", "**", word) &&
            !append_reference(out, word))
            append_plain(out, word);
    }
    end_line(out);
    text_free(&clean);
}

/* ---- Markdown ---- */

struct page {
    struct text *out;
    struct text paragraph; /* lines of it so far */
    bool code, list;
    bool begun; /* something stands below the heading */
};

static void end_paragraph(struct page *page)
{
    if (page->paragraph.size > 0)
        mdoc_words(page->out, (struct bytes){page->paragraph.data, page->paragraph.size});
    text_clear(&page->paragraph);
}

static void end_list(struct page *page)
{
    end_paragraph(page);
    if (page->list)
        text_append_string(page->out, ".El\n");
    page->list = false;
}

static void take_heading(struct page *page, const char *line, size_t size)
{
    size_t signs = strspn(line, "#");

    end_list(page);
    if (signs == 1)
        return;
    struct text title = {0};
    for (size_t i = signs; i < size; i++) {
        if (line[i] != '`')
            text_append_char(&title, signs == 2 ? (char)toupper((unsigned char)line[i]) : line[i]);
    }
    text_append_string(page->out, signs == 2 ? ".Sh" : ".Ss");
    append_characters(page->out, (struct bytes){title.data, title.size}, true);
    text_append_char(page->out, '\n');
    text_free(&title);
    page->begun = false;
}

static void take_fence(struct page *page)
{
    end_paragraph(page);
    text_append_string(page->out, page->code ? ".Ed\n" : ".Bd -literal -offset indent\n");
    page->code = !page->code;
    page->begun = true;
}

static void take_code(struct page *page, const char *line, size_t size)
{
    if (is_in(".'", line[0]))
        text_append_string(page->out, "\\&");
    append_characters(page->out, (struct bytes){line, size}, true);
    text_append_char(page->out, '\n');
}

/* A line of a list's item, or of a paragraph. */
static void take_text(struct page *page, const char *line, size_t size)
{
    bool item = strncmp(line, "- ", 2) == 0;

    if (item || (page->list && line[0] != ' ' && page->paragraph.size == 0))
        end_paragraph(page);
    if (page->list && !item && line[0] != ' ')
        end_list(page);
    if (item && !page->list)
        text_append_string(page->out, ".Bl -bullet\n");
    if (item)
        text_append_string(page->out, ".It\n");
    else if (page->begun && !page->list && page->paragraph.size == 0)
        text_append_string(page->out, ".Pp\n");
    page->begun = true;
    page->list = page->list || item;
    text_append(&page->paragraph, (struct bytes){line + 2 * item, size - 2 * item});
    text_append_char(&page->paragraph, '\n');
}

void mdoc_markdown(struct text *out, const char *markdown)
{
    struct page page = {.out = out};

    for (const char *line = markdown; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        if (strncmp(line, "```", 3) == 0)
            take_fence(&page);
        else if (page.code)
            take_code(&page, line, size);
        else if (line[0] == '#')
            take_heading(&page, line, size);
        else if (size == 0)
            end_paragraph(&page);
        else if (strncmp(line, "<!--", 4) != 0)
            take_text(&page, line, size);
        line += size + (line[size] == '\n');
    }
    end_list(&page);
    text_free(&page.paragraph);
}
