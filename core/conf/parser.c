/* From words to statements, includes resolved. See parser.h and, for the grammar, tree.h.
 *
 * Recursive descent: one level for each block and each include, both bounded. After an error the
 * parser goes on where the next statement is sure to begin, so that one run finds the errors of a
 * whole file. The parser knows the meaning of one name only: `include`. */
#include "conf/parser.h"

#include <glob.h>
#include <stdlib.h>

#include "conf/lexer.h"

#define BLOCK_DEPTH_MAX   32 /* over all files: an include inside a block counts on */
#define INCLUDE_DEPTH_MAX 16

struct parser {
    struct conf_tree *tree;
    const struct conf_source *source;
    struct conf_errors *errors;
    const struct parser *includer; /* NULL: not included */
    unsigned includes;             /* how many files are above this one */
    unsigned blocks;               /* how many blocks are open */
    bool overrides;
    struct lexer lexer;
    struct lexer_token held; /* a token that was put back; valid with `holds` */
    bool holds;
};

static struct lexer_token next_token(struct parser *parser)
{
    if (!parser->holds)
        return lexer_next(&parser->lexer);
    parser->holds = false;
    return parser->held;
}

static void give_back(struct parser *parser, struct lexer_token token)
{
    parser->held = token;
    parser->holds = true;
}

static void parse_statements(struct parser *parser, struct conf_statement ***tail,
                             const struct conf_place *open);
static void parse_source(struct parser *parser, struct conf_statement ***tail);

static void report_unclosed(struct parser *parser, const struct conf_place *open)
{
    if (!parser->lexer.broken)
        conf_error(parser->errors, open,
                   "the block that starts here is never closed; \"}\" is missing");
}

/* Skips everything up to the brace that closes the block. */
static void skip_block(struct parser *parser, const struct conf_place *open)
{
    for (size_t depth = 1; depth > 0;) {
        switch (next_token(parser).kind) {
        case LEXER_OPEN:
            depth++;
            break;
        case LEXER_CLOSE:
            depth--;
            break;
        case LEXER_END:
            report_unclosed(parser, open);
            return;
        case LEXER_WORD:
        case LEXER_SEMICOLON:
            break;
        }
    }
}

static void parse_block(struct parser *parser, const struct conf_place *open,
                        struct conf_statement **first)
{
    struct conf_statement **tail = first;

    if (parser->blocks == BLOCK_DEPTH_MAX) {
        conf_error(parser->errors, open, "blocks are nested more than %d deep", BLOCK_DEPTH_MAX);
        skip_block(parser, open);
        return;
    }
    parser->blocks++;
    parse_statements(parser, &tail, open);
    parser->blocks--;
}

/* ---- include ---- */

/* "a.conf includes b.conf, which includes a.conf": the circle of includes that begins and ends at
 * `source`. */
static void report_cycle(const struct parser *parser, const struct conf_place *place,
                         const struct conf_source *source)
{
    const char *names[INCLUDE_DEPTH_MAX + 1];
    struct text chain = {0};
    size_t count = 0;

    for (const struct parser *p = parser; p->source != source; p = p->includer)
        names[count++] = p->source->name;
    text_append_string(&chain, source->name);
    for (size_t i = count; i > 0; i--)
        text_printf(&chain, "%s includes %s", i == count ? "" : ", which", names[i - 1]);
    text_printf(&chain, "%s includes %s", count == 0 ? "" : ", which",
                count == 0 ? "itself" : source->name);
    conf_error(parser->errors, place, "this include never ends: %s", text_string(&chain));
    text_free(&chain);
}

static void include_file(struct parser *parser, const struct conf_word *word, const char *path,
                         const char *name, struct conf_statement ***tail)
{
    struct error error = {0};

    const struct conf_source *source = conf_tree_open(parser->tree, path, name, &error);
    if (source == NULL) {
        conf_error(parser->errors, &word->place, "%s: %s", path, error.text);
        return;
    }
    for (const struct parser *above = parser; above != NULL; above = above->includer) {
        if (above->source == source) {
            report_cycle(parser, &word->place, source);
            return;
        }
    }
    if (parser->includes == INCLUDE_DEPTH_MAX) {
        conf_error(parser->errors, &word->place, "includes are nested more than %d deep",
                   INCLUDE_DEPTH_MAX);
        return;
    }
    struct parser child = {
        .tree = parser->tree,
        .source = source,
        .errors = parser->errors,
        .includer = parser,
        .includes = parser->includes + 1,
        .blocks = parser->blocks,
        .overrides = parser->overrides,
    };
    parse_source(&child, tail);
}

/* The pattern for glob(3), below the prefix. The prefix's special characters are escaped. */
static char *glob_pattern(const struct conf_tree *tree, const char *pattern)
{
    struct text full = {0};

    if (pattern[0] != '/') {
        for (const char *c = tree->prefix; *c != '\0'; c++) {
            if (strchr("*?[\\", *c) != NULL)
                text_append_char(&full, '\\');
            text_append_char(&full, *c);
        }
        text_append_char(&full, '/');
    }
    text_append_string(&full, pattern);
    return text_take(&full);
}

static void include_pattern(struct parser *parser, const struct conf_word *word,
                            struct conf_statement ***tail)
{
    struct conf_tree *tree = parser->tree;
    size_t hidden = word->text[0] == '/' ? 0 : strlen(tree->prefix) + 1;
    char *pattern = glob_pattern(tree, word->text);
    glob_t found = {0};

    int status = glob(pattern, 0, NULL, &found);
    if (status != 0 && status != GLOB_NOMATCH)
        conf_error(parser->errors, &word->place, "cannot search for files that match %s", pattern);
    for (size_t i = 0; status == 0 && i < found.gl_pathc; i++)
        include_file(parser, word, found.gl_pathv[i], found.gl_pathv[i] + hidden, tail);
    globfree(&found);
    free(pattern);
}

static void parse_include(struct parser *parser, const struct conf_statement *statement,
                          struct conf_statement ***tail)
{
    if (statement->word_count != 1 || statement->has_block) {
        conf_error(parser->errors, &statement->name.place,
                   "\"include\" takes one path or pattern, as in \"include conf.d/*.conf;\"");
        return;
    }
    const struct conf_word *word = &statement->words[0];
    if (strpbrk(word->text, "*?[") != NULL)
        include_pattern(parser, word, tail);
    else
        include_file(parser, word, conf_tree_path(parser->tree, word->text), word->text, tail);
}

/* ---- statements ---- */

/* Takes the words up to the next punctuation, which it returns. */
static struct lexer_token parse_words(struct parser *parser, struct conf_statement *statement)
{
    struct conf_word *words = NULL;
    size_t count = 0, capacity = 0;
    struct lexer_token token = next_token(parser);

    for (; token.kind == LEXER_WORD; token = next_token(parser)) {
        if (count == capacity) {
            capacity = capacity == 0 ? 4 : capacity * 2;
            words = must_realloc(words, capacity * sizeof(*words));
        }
        words[count++] = token.word;
    }
    if (count > 0) {
        statement->words = pool_must_zalloc(&parser->tree->pool, count * sizeof(*words));
        memcpy(statement->words, words, count * sizeof(*words));
        statement->word_count = count;
    }
    free(words);
    return token;
}

static void report_missing_semicolon(struct parser *parser, const struct conf_statement *statement)
{
    size_t count = statement->word_count;
    const struct conf_word *last = count == 0 ? &statement->name : &statement->words[count - 1];
    struct conf_place after = conf_place_after(&last->place);

    if (!parser->lexer.broken)
        conf_error(parser->errors, &after, "\";\" is missing here, at the end of \"%s\"",
                   statement->name.text);
}

static void parse_statement(struct parser *parser, struct conf_word name,
                            struct conf_statement ***tail)
{
    struct conf_statement *statement = pool_must_zalloc(&parser->tree->pool, sizeof(*statement));

    statement->name = name;
    statement->overrides = parser->overrides;
    struct lexer_token token = parse_words(parser, statement);
    if (token.kind == LEXER_OPEN) {
        statement->has_block = true;
        parse_block(parser, &token.word.place, &statement->block);
    } else if (token.kind != LEXER_SEMICOLON) {
        report_missing_semicolon(parser, statement);
        give_back(parser, token);
    }
    if (strcmp(name.text, "include") == 0) {
        parse_include(parser, statement, tail);
        return;
    }
    **tail = statement;
    *tail = &statement->next;
}

/* Parses up to the brace that closes the block begun at `open`, or, where that is NULL, up to the
 * end of the source. `tail` is where the next statement is linked. */
static void parse_statements(struct parser *parser, struct conf_statement ***tail,
                             const struct conf_place *open)
{
    struct conf_statement *dropped = NULL;

    for (;;) {
        struct lexer_token token = next_token(parser);
        switch (token.kind) {
        case LEXER_WORD:
            parse_statement(parser, token.word, tail);
            break;
        case LEXER_SEMICOLON:
            conf_error(parser->errors, &token.word.place,
                       "unexpected \";\": there is no directive before it");
            break;
        case LEXER_OPEN:
            conf_error(parser->errors, &token.word.place,
                       "unexpected \"{\": a block needs a directive's name before it");
            parse_block(parser, &token.word.place, &dropped);
            break;
        case LEXER_CLOSE:
            if (open != NULL)
                return;
            conf_error(parser->errors, &token.word.place,
                       "unexpected \"}\": there is no open block to close");
            break;
        case LEXER_END:
            if (open != NULL)
                report_unclosed(parser, open);
            return;
        }
    }
}

static void parse_source(struct parser *parser, struct conf_statement ***tail)
{
    if (lexer_start(&parser->lexer, parser->source, &parser->tree->pool, parser->errors))
        parse_statements(parser, tail, NULL);
}

/* Appends the statements of `source` to the tree's. */
static bool parse(struct conf_tree *tree, const struct conf_source *source, bool overrides,
                  struct conf_errors *errors)
{
    struct parser parser = {
        .tree = tree, .source = source, .errors = errors, .overrides = overrides};
    struct conf_statement **tail = &tree->statements;
    unsigned before = errors->count;

    while (*tail != NULL)
        tail = &(*tail)->next;
    parse_source(&parser, &tail);
    if (errors->count == before)
        return true;
    tree->damaged = true;
    return false;
}

bool conf_tree_add_file(struct conf_tree *tree, const char *path, struct conf_errors *errors)
{
    struct error error = {0};
    const char *full = conf_tree_path(tree, path);

    const struct conf_source *source = conf_tree_open(tree, full, path, &error);
    if (source != NULL)
        return parse(tree, source, false, errors);
    conf_error(errors, NULL, "%s: %s", full, error.text);
    tree->damaged = true;
    return false;
}

bool conf_tree_add_text(struct conf_tree *tree, const char *name, struct bytes text, bool overrides,
                        struct conf_errors *errors)
{
    if (text.size > CONF_SOURCE_MAX) {
        conf_error(errors, NULL, "%s: larger than 16 MiB: is this a configuration?", name);
        tree->damaged = true;
        return false;
    }
    return parse(tree, conf_tree_keep(tree, name, text), overrides, errors);
}
