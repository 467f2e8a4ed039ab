/* What an operator is told of the server: one call writes it to the log, and into the journal on
 * the board for `pillion events` and the status page. Master only. */
#ifndef PILLION_MASTER_REPORT_H
#define PILLION_MASTER_REPORT_H

#include <sys/types.h>

#include "rpc/journal.h"

/* What an event is about; members may be left out. Names that are too long are cut. */
struct report_subject {
    const char *method, *module;
    pid_t pid;
};

/* The log gets the text at the level of the kind. `subject` may be NULL. */
__attribute__((format(printf, 3, 4))) void
report(enum journal_kind kind, const struct report_subject *subject, const char *format, ...);

/* The same for an event whose reason is a text of several lines: the journal has the first line
 * behind the format's words and ": ", and the log all lines. */
__attribute__((format(printf, 3, 4))) void report_reason(enum journal_kind kind, const char *reason,
                                                         const char *format, ...);

#endif
