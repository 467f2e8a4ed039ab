/* Splitting a command line. See complete_line.h. */
#include "cmd/complete_line.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"

#define SPACE " \t\n"

/* Takes one word off the text, without its quotes. `open` when it is not ended. */
static char *take_word(const char **text, bool *quoted, bool *open)
{
    struct text word = {0};
    const char *c = *text;
    char quote = '\0';

    *quoted = false;
    for (; *c != '\0' && (quote != '\0' || strchr(SPACE, *c) == NULL); c++) {
        bool marks = *c == quote || (quote == '\0' && (*c == '"' || *c == '\''));
        if (marks)
            quote = quote == '\0' ? *c : '\0';
        else if (*c == '\\' && quote != '\'' && c[1] != '\0')
            text_append_char(&word, *++c);
        else if (*c != '\\' || quote == '\'')
            text_append_char(&word, *c);
        *quoted = *quoted || marks || *c == '\\';
    }
    *open = quote != '\0';
    *text = c;
    return word.data == NULL ? must_strdup("") : text_take(&word);
}

/* "PILLION_SERVER=…" in front of a command. */
static bool is_variable(const char *word)
{
    size_t size = strcspn(word, "=");

    for (size_t i = 0; i < size; i++) {
        if (!isalnum((unsigned char)word[i]) && word[i] != '_')
            return false;
    }
    return word[size] == '=' && size > 0 && !isdigit((unsigned char)word[0]);
}

static void set_variable(char *word)
{
    char *value = strchr(word, '=');

    *value++ = '\0';
    setenv(word, value, 1);
    free(word);
}

bool complete_line_split(struct complete_line *line, const char *text)
{
    bool quoted, open = false;

    *line = (struct complete_line){0};
    while (line->count < LINE_WORDS_MAX && !open) {
        text += strspn(text, SPACE);
        char *word = take_word(&text, &quoted, &open);
        if (*text == '\0') { /* the cursor touches it */
            line->current = word;
            line->quoted = quoted;
            return true;
        }
        if (line->count == 0 && is_variable(word))
            set_variable(word);
        else
            line->words[line->count++] = word;
    }
    return false;
}

void complete_line_free(struct complete_line *line)
{
    for (size_t i = 0; i < line->count; i++)
        free(line->words[i]);
    free(line->current);
}

bool complete_line_takes(const char *word)
{
    for (const char *c = word; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && strchr("_.,:/@%+=-", *c) == NULL)
            return false;
    }
    return word[0] != '\0';
}
