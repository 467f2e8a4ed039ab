/* Log lines that requests cause, and of which clients could cause any number.
 *
 * Of each kind the log gets LOG_SELDOM_LINES in LOG_SELDOM_NS; the first line after a pause says
 * how many were left out. Every line about a client's bytes, or about a module's mistake in a
 * request, is logged in this way. */
#ifndef PILLION_BASE_LOG_SELDOM_H
#define PILLION_BASE_LOG_SELDOM_H

#include "base/clock.h"
#include "base/log.h"

#define LOG_SELDOM_LINES 5u
#define LOG_SELDOM_NS    (10 * NS_PER_S)

/* Lines are of the same kind when they have the same format and the same `about`, the method or
 * module at fault, or NULL. Any thread may call it. */
__attribute__((format(printf, 3, 4))) void log_seldom(enum log_level level, const void *about,
                                                      const char *format, ...);

/* The same for a line with values; `message` is its kind, and a string that stays. */
void log_seldom_fields(enum log_level level, const void *about, const struct log_field *fields,
                       const char *message);

/* From here on this process and the children that it forks count together, since each child may log
 * a line and end. */
void log_seldom_with_children(void);

#endif
