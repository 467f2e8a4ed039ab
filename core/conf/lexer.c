/* From text to words and punctuation. See lexer.h. */
#include "conf/lexer.h"

#define WORD_MAX ((size_t)1 << 20) /* bytes */

static const char byte_order_mark[] = "\xef\xbb\xbf";

static bool at_end(const struct lexer *lexer)
{
    return lexer->here.offset >= lexer->source->text.size;
}

static char peek(const struct lexer *lexer)
{
    return lexer->source->text.data[lexer->here.offset];
}

/* Takes a byte. Columns count characters: a continuation byte of UTF-8 is not one. */
static char take(struct lexer *lexer)
{
    char c = peek(lexer);

    lexer->here.offset++;
    if (c == '\n') {
        lexer->here.line++;
        lexer->here.column = 1;
    } else if (((unsigned char)c & 0xc0) != 0x80) {
        lexer->here.column++;
    }
    return c;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && !is_space(c)) || c == 0x7f;
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'';
}

static bool ends_word(char c)
{
    return is_space(c) || c == ';' || c == '{' || c == '}';
}

/* A word being collected. */
struct collector {
    struct text text;
    struct conf_place start;
    bool too_long;
};

static void collect(struct collector *word, char c)
{
    if (word->text.size < WORD_MAX)
        text_append_char(&word->text, c);
    else
        word->too_long = true;
}

/* Reads the character behind a backslash inside quotes. */
static void take_escape(struct lexer *lexer, struct collector *word)
{
    static const struct {
        char written, meant;
    } escapes[] = {{'"', '"'}, {'\'', '\''}, {'\\', '\\'}, {'n', '\n'}, {'t', '\t'}, {'r', '\r'}};
    struct conf_place place = lexer->here;

    take(lexer);
    if (at_end(lexer))
        return; /* the quote is not closed either: that is reported */
    char c = take(lexer);
    for (size_t i = 0; i < sizeof(escapes) / sizeof(*escapes); i++) {
        if (escapes[i].written == c) {
            collect(word, escapes[i].meant);
            return;
        }
    }
    place.size = 2;
    conf_error(lexer->errors, &place,
               "unknown escape; inside quotes there are \\\" \\' \\\\ \\n \\t \\r");
    collect(word, c);
}

static void take_quoted(struct lexer *lexer, struct collector *word)
{
    char quote = take(lexer);

    while (!at_end(lexer) && peek(lexer) != quote) {
        if (peek(lexer) == '\\')
            take_escape(lexer, word);
        else
            collect(word, take(lexer));
    }
    if (at_end(lexer)) {
        conf_error(lexer->errors, &word->start, "the quote that starts here is never closed");
        lexer->broken = true;
        return;
    }
    take(lexer);
    if (at_end(lexer) || ends_word(peek(lexer)))
        return;
    if (lexer->here.line != word->start.line)
        conf_error(lexer->errors, &lexer->here,
                   "white space is missing after the closing quote; the quote was opened on "
                   "line %u: was it meant to end there?",
                   word->start.line);
    else
        conf_error(lexer->errors, &lexer->here, "white space is missing after the closing quote");
}

static void take_plain(struct lexer *lexer, struct collector *word)
{
    bool quote_reported = false;

    while (!at_end(lexer) && !ends_word(peek(lexer))) {
        struct conf_place place = lexer->here;
        char c = take(lexer);
        if (c == '\\' && at_end(lexer)) {
            conf_error(lexer->errors, &place, "nothing follows the backslash");
            lexer->broken = true;
            return;
        }
        if (is_quote(c) && !quote_reported) {
            conf_error(lexer->errors, &place,
                       "a quote inside a word; put quotes around the whole word, or a backslash "
                       "before the quote");
            quote_reported = true;
        }
        collect(word, c == '\\' ? take(lexer) : c);
    }
}

static struct conf_word take_word(struct lexer *lexer)
{
    struct collector word = {.start = lexer->here};

    if (is_quote(peek(lexer)))
        take_quoted(lexer, &word);
    else
        take_plain(lexer, &word);
    if (word.too_long)
        conf_error(lexer->errors, &word.start, "the word that starts here is longer than 1 MiB");

    struct conf_word done = {.place = word.start};
    done.place.size = lexer->here.offset - word.start.offset;
    done.text = pool_must_strndup(lexer->pool, text_string(&word.text), word.text.size);
    text_free(&word.text);
    return done;
}

static void skip_space_and_comments(struct lexer *lexer)
{
    while (!at_end(lexer)) {
        if (peek(lexer) == '#') {
            while (!at_end(lexer) && peek(lexer) != '\n')
                take(lexer);
        } else if (is_space(peek(lexer))) {
            take(lexer);
        } else {
            return;
        }
    }
}

bool lexer_start(struct lexer *lexer, const struct conf_source *source, struct pool *pool,
                 struct conf_errors *errors)
{
    const struct conf_place first = {.source = source, .line = 1, .column = 1, .size = 1};
    size_t mark = sizeof(byte_order_mark) - 1;

    *lexer = (struct lexer){.source = source, .pool = pool, .errors = errors, .here = first};
    if (source->text.size >= mark && memcmp(source->text.data, byte_order_mark, mark) == 0) {
        conf_error(errors, &first, "the file starts with a byte order mark; save it without one");
        return false;
    }
    while (!at_end(lexer)) {
        if (is_control(peek(lexer))) {
            conf_error(errors, &lexer->here, "a control character (0x%02x): is this a text file?",
                       (unsigned)(unsigned char)peek(lexer));
            return false;
        }
        take(lexer);
    }
    lexer->here = first;
    return true;
}

struct lexer_token lexer_next(struct lexer *lexer)
{
    struct lexer_token token = {.kind = LEXER_END};

    skip_space_and_comments(lexer);
    token.word.place = lexer->here;
    if (at_end(lexer))
        return token;
    switch (peek(lexer)) {
    case ';':
        token.kind = LEXER_SEMICOLON;
        take(lexer);
        return token;
    case '{':
        token.kind = LEXER_OPEN;
        take(lexer);
        return token;
    case '}':
        token.kind = LEXER_CLOSE;
        take(lexer);
        return token;
    default:
        token.kind = LEXER_WORD;
        token.word = take_word(lexer);
        return token;
    }
}
