/* The log: levels, text or JSON lines, to standard error, a file or syslog.
 *
 * One target per process, inherited over fork, so that the whole server writes one log. A line is
 * one write(2) to a descriptor opened with O_APPEND, so that lines of several processes never mix.
 * Reopening replaces the descriptor with dup3(2): at every instant there is one to write to, and no
 * line is lost by that.
 *
 * Logging never waits, whatever the log is and whether or not anything reads it (base/sink.h). A
 * line that cannot be written at once is dropped and counted; as soon as writing works again, the
 * first line says how many are missing. A line that a full disk has cut ends where it was cut. */
#ifndef PILLION_BASE_LOG_H
#define PILLION_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

/* As in syslog(3), without "emerg" and "alert" to choose from in a configuration. */
enum log_level {
    LOG_ERROR_LEVEL,
    LOG_WARN_LEVEL,
    LOG_NOTICE_LEVEL,
    LOG_INFO_LEVEL,
    LOG_DEBUG_LEVEL
};

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_target {
    const char *path; /* "stderr", "syslog", "syslog:FACILITY", or a file's absolute path */
    enum log_level level;
    enum log_format format;
};

/* Opens the target and makes it this process's. On failure the log stays as it was. Any process may
 * call it. Strings are copied. */
bool log_open(const struct log_target *target, struct error *error);

/* The two halves of log_open. log_prepare opens the target: `*fd` becomes a file's descriptor, or
 * -1 where none is needed. log_use takes it into use; -1 for a file means that this process has
 * that file open already. */
bool log_prepare(const struct log_target *target, int *fd, struct error *error);
void log_use(const struct log_target *target, int fd);

/* True when this process's log is `target`'s, level and form aside. */
bool log_is_at(const char *path);

/* Opens the file anew (USR1, after it was moved away). Nothing to do for stderr and syslog. */
bool log_reopen(struct error *error);

/* Takes `fd`, opened by the master, in the place of this process's log file, and closes `fd`.
 * Workers use it, since they may not be allowed to open the file. */
void log_adopt(int fd);

/* In a new child, before descriptors are closed: closes the connection to syslog, which the next
 * line opens again, and forgets the counter of log_count_lost. */
void log_in_child(void);

/* In a child that runs modules, where the log is standard error: goes on with a duplicate of it, in
 * case a module closes descriptor 2 or opens a file there. */
void log_move_apart(void);

/* The descriptor that log lines go to: for the master to pass on. -1 for syslog. */
int log_descriptor(void);

/* The name of the process in every line: "master", "worker 0", "vault". Copied. */
void log_identity(const char *identity);

/* Each line of `text` as an error. */
void log_error_lines(const char *text);

/* True while lines are missing and the log does not say so yet. The event loop then calls
 * log_settle from time to time, since a process may have nothing else to log for long. Any thread
 * may call it. */
bool log_owes(void);
void log_settle(void);

/* From now on lost lines are also counted in `lost`; NULL ends that. */
void log_count_lost(_Atomic uint64_t *lost);

bool log_enabled(enum log_level level);
const char *log_level_name(enum log_level level);

/* A named value that goes with a line: a member of its own in JSON, " name=value" behind the
 * message elsewhere. */
struct log_field {
    const char *name; /* NULL ends the array */
    struct bytes text;
    int64_t number; /* where `text` has no data */
    bool is_json;   /* `text` is a JSON value */
};

#define LOG_FIELDS_MAX 32u  /* most fields of a module's line */
#define LOG_VALUE_MAX  512u /* bytes; longer texts are cut */

/* `fields` may be NULL. */
void log_write_fields(enum log_level level, const struct log_field *fields, const char *message);

__attribute__((format(printf, 2, 3))) void log_write(enum log_level level, const char *format, ...);

#define log_error(...)  log_write(LOG_ERROR_LEVEL, __VA_ARGS__)
#define log_warn(...)   log_write(LOG_WARN_LEVEL, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE_LEVEL, __VA_ARGS__)
#define log_info(...)   log_write(LOG_INFO_LEVEL, __VA_ARGS__)
#define log_debug(...)                               \
    do {                                             \
        if (log_enabled(LOG_DEBUG_LEVEL))            \
            log_write(LOG_DEBUG_LEVEL, __VA_ARGS__); \
    } while (0)

#endif
