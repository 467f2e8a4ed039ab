/* Numbers and names for people, in columns: each function appends `width` columns at least, the
 * number at their right end; 0 is no more than it needs. */
#ifndef PILLION_CMD_FIGURES_H
#define PILLION_CMD_FIGURES_H

#include "base/bytes.h"

/* "12", "3.4k", "5.6M": at most five characters below 10^15. */
void figure_count(struct text *out, double count, int width);

/* The same, with a digit behind the point below 10: "0.3". */
void figure_rate(struct text *out, double rate, int width);

/* "12", "3.4K", "5.6M", in powers of 1024. */
void figure_bytes(struct text *out, double bytes, int width);

/* "850 ns", "12 us", "3.4 ms", "1.2 s" of microseconds; "-" of 0. */
void figure_time(struct text *out, double us, int width);

/* "3s", "12m", "5h", "9d". */
void figure_age(struct text *out, double seconds, int width);

/* A name, cut to the width, or filled up with spaces at its right, in a form that a terminal may
 * hold. */
void figure_name(struct text *out, const char *name, int width);

#endif
