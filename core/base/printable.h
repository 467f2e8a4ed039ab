/* What a terminal or a line of a log may hold. This is the one place that decides it.
 *
 * Clients, other servers and modules may put any text into names, ids and error messages. On a
 * terminal, control characters (C0, DEL, C1) move the cursor, set titles and type for the user; the
 * controls of Unicode that change the direction of text, end lines or show nothing let one text
 * look like another. All of these are shown as JSON escapes, \u001b say, and bytes that are not
 * UTF-8 as U+FFFD. Everything else stays as it is. */
#ifndef PILLION_BASE_PRINTABLE_H
#define PILLION_BASE_PRINTABLE_H

#include <stdio.h>

#include "base/bytes.h"

#define PRINTABLE_SIZE 16u /* an escape, two halves for a character beyond U+FFFF, and a NUL */

/* The size of the character that `text`, which is not empty, begins with. `shown` becomes the text
 * that replaces it; "" when the character itself may stand. */
size_t printable_next(struct bytes text, char shown[PRINTABLE_SIZE]);

/* Appends `text` as it may be shown. JSON stays the same JSON when it is on one line. */
void text_append_printable(struct text *text, struct bytes more);

/* The same for a message: line ends and tabs become spaces. */
void text_append_line(struct text *text, struct bytes more);

/* The same as the inside of a JSON string, as text_append_json writes it. */
void text_append_json_printable(struct text *text, struct bytes more);

/* Writes a text of several lines to `to`, each line as it may be shown. Tabs stay. */
void printable_print(FILE *to, struct bytes text);

#endif
