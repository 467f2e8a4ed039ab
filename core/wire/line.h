/* Lines: a JSON text on each, ended by LF or CRLF. Lines without text between them mean nothing.
 *
 * Pure functions over bytes. */
#ifndef PILLION_WIRE_LINE_H
#define PILLION_WIRE_LINE_H

#include "wire/frame.h"

/* Looks at the start of `input` for a line with text, and the lines without any that come before
 * it. FRAME_EMPTY when there is nothing but the latter. */
enum frame_status line_next(struct bytes input, const struct frame_limits *limits,
                            struct frame_progress *progress, struct frame *frame);

#endif
