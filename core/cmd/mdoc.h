/* Text for manual pages, in the language of mdoc(7): paragraphs that may hold `code`, **words** and
 * sections of the manual (unix(7)), and whole pages of Markdown as this server writes them. */
#ifndef PILLION_CMD_MDOC_H
#define PILLION_CMD_MDOC_H

#include "base/bytes.h"

/* Appends the words of a paragraph, in lines. */
void mdoc_words(struct text *out, struct bytes words);

/* Appends one argument of a macro's line, quoted. */
void mdoc_argument(struct text *out, struct bytes argument);

/* Appends a page of Markdown without its title: headings of two signs begin sections, of three and
 * more subsections; paragraphs, lists with "-" and blocks of code are what they are. */
void mdoc_markdown(struct text *out, const char *markdown);

#endif
