/* Base64 (RFC 4648 section 4). Pure functions over bytes. */
#ifndef PILLION_WIRE_BASE64_H
#define PILLION_WIRE_BASE64_H

#include "base/bytes.h"

/* Bytes that `size` bytes of base64 can stand for, at most. */
#define BASE64_DECODED(size) ((size) / 4 * 3 + 3)

/* Bytes of base64 for `size` bytes. */
#define BASE64_ENCODED(size) (((size) + 2) / 3 * 4)

/* Writes the BASE64_ENCODED bytes of base64 that stand for `data`. */
void base64_encode(struct bytes data, char *to);

/* Decodes `text`, which has its padding, to `to`, which may be where the text is. Returns the size;
 * -1 when the text is no base64, or does not end where its padding says: bits that stand for
 * nothing have to be 0 (section 3.5). */
long base64_decode(struct bytes text, char *to);

#endif
