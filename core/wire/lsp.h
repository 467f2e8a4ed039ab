/* Messages as the Language Server Protocol frames them: header lines, one of which is
 * `Content-Length: N`, an empty line, and N bytes ("Base Protocol" of its specification). Editors
 * and their libraries speak JSON-RPC so.
 *
 * Pure functions over bytes. */
#ifndef PILLION_WIRE_LSP_H
#define PILLION_WIRE_LSP_H

#include "wire/frame.h"

/* What stands before a body of `size` bytes. */
#define LSP_HEAD_MAX sizeof("Content-Length: 4294967295\r\n\r\n")

/* Looks at the start of `input` for a message. FRAME_REFUSED when its header lines are none. */
enum frame_status lsp_next(struct bytes input, const struct frame_limits *limits,
                           struct frame_progress *progress, struct frame *frame);

/* Writes the head of a body of `size` bytes to `to`; returns its size. */
size_t lsp_head(size_t size, char to[LSP_HEAD_MAX]);

#endif
