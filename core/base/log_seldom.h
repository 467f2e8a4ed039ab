/* Log lines that requests cause: there would be as many as clients send.
 *
 * Of each kind the log gets LOG_SELDOM_LINES in LOG_SELDOM_NS; the first line after a pause says
 * how many were left out. Every line about what a client sends, or about what a module does wrong
 * for a request, is one of these. */
#ifndef PILLION_BASE_LOG_SELDOM_H
#define PILLION_BASE_LOG_SELDOM_H

#include "base/clock.h"
#include "base/log.h"

#define LOG_SELDOM_LINES 5u
#define LOG_SELDOM_NS    (10 * NS_PER_S)

/* A kind of line is its format and what it is `about`: the method or module at fault, or NULL. Any
 * thread may call it. */
__attribute__((format(printf, 3, 4))) void log_seldom(enum log_level level, const void *about,
                                                      const char *format, ...);

#endif
