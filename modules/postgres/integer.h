/* Whole numbers as clients write them: JSON has no integers, so 1e3 and 1000.0 are as whole as
 * 1000. */
#ifndef POSTGRES_INTEGER_H
#define POSTGRES_INTEGER_H

#include <pillion/module.h>

#define INTEGER_TEXT_MAX 24

/* Writes a JSON number without fraction and exponent. False when it is not whole, or has more than
 * 64 bits. */
bool integer_text(pillion_bytes number, char text[INTEGER_TEXT_MAX]);

#endif
