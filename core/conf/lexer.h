/* From text to words and punctuation, for parser.c.
 *
 * Knows quotes, escapes, comments and places; knows nothing of statements. */
#ifndef PILLION_CONF_LEXER_H
#define PILLION_CONF_LEXER_H

#include <stdbool.h>

#include "conf/source.h"
#include "conf/tree.h"

enum lexer_kind {
    LEXER_WORD,
    LEXER_SEMICOLON,
    LEXER_OPEN,  /* { */
    LEXER_CLOSE, /* } */
    LEXER_END    /* of the text */
};

struct lexer_token {
    enum lexer_kind kind;
    struct conf_word word; /* `text` is set for LEXER_WORD only; `place` always */
};

struct lexer {
    const struct conf_source *source;
    struct pool *pool; /* for the words' text */
    struct conf_errors *errors;
    struct conf_place here; /* of the next byte */
    bool broken;            /* the text ended inside a word; the error is reported already */
};

/* Starts at the beginning of `source`. False, with an error added, when the text holds a control
 * character or a byte order mark, which no configuration has. */
bool lexer_start(struct lexer *lexer, const struct conf_source *source, struct pool *pool,
                 struct conf_errors *errors);

/* The next token. Errors inside a word are added and the word is given as well as it can be. */
struct lexer_token lexer_next(struct lexer *lexer);

#endif
