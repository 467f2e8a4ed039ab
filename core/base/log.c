/* The log. See log.h. */
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log_file.h"
#include "base/log_syslog.h"
#include "base/memory.h"
#include "base/own_file.h"
#include "base/printable.h"
#include "base/sink.h"

#define LOG_LINE_MAX 8192 /* longer lines are cut */

static const struct {
    const char *name;
    int priority; /* syslog(3) */
} levels[] = {
    [LOG_ERROR_LEVEL] = {"error", LOG_ERR},      [LOG_WARN_LEVEL] = {"warn", LOG_WARNING},
    [LOG_NOTICE_LEVEL] = {"notice", LOG_NOTICE}, [LOG_INFO_LEVEL] = {"info", LOG_INFO},
    [LOG_DEBUG_LEVEL] = {"debug", LOG_DEBUG},
};

static const struct {
    const char *name;
    int facility;
} facilities[] = {
    {"daemon", LOG_DAEMON}, {"user", LOG_USER},     {"auth", LOG_AUTHPRIV}, {"local0", LOG_LOCAL0},
    {"local1", LOG_LOCAL1}, {"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3}, {"local4", LOG_LOCAL4},
    {"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6}, {"local7", LOG_LOCAL7},
};

/* The process's one log. Before log_open it is standard error at "info". */
static struct {
    int fd;     /* -1: syslog */
    char *path; /* NULL: standard error or syslog */
    enum sink_manner manner;
    int facility; /* of syslog */
    enum log_level level;
    enum log_format format;
    char identity[32];
    _Atomic bool torn;      /* the last line has no end */
    _Atomic int error;      /* why lines are missing */
    _Atomic uint64_t owed;  /* lines lost so far that the log does not report yet */
    _Atomic uint64_t *lost; /* of the whole server; or NULL */
} the_log = {.fd = STDERR_FILENO, .level = LOG_INFO_LEVEL, .identity = "pillion"};

const char *log_level_name(enum log_level level)
{
    return levels[level].name;
}

bool log_enabled(enum log_level level)
{
    return level <= the_log.level;
}

void log_identity(const char *identity)
{
    snprintf(the_log.identity, sizeof(the_log.identity), "%s", identity);
}

int log_descriptor(void)
{
    return the_log.fd;
}

static bool is_syslog(const char *path)
{
    return strcmp(path, "syslog") == 0 || strncmp(path, "syslog:", 7) == 0;
}

/* The facility of "syslog" or "syslog:NAME", or -1. */
static int read_facility(const char *path, struct error *error)
{
    const char *name = path + strlen("syslog");

    if (*name != ':')
        return LOG_DAEMON;
    for (size_t i = 0; i < sizeof(facilities) / sizeof(*facilities); i++) {
        if (strcmp(facilities[i].name, name + 1) == 0)
            return facilities[i].facility;
    }
    error_set(error,
              "unknown syslog facility \"%s\"; daemon, user, auth and local0 to local7 are known",
              name + 1);
    return -1;
}

void log_in_child(void)
{
    the_log.lost = NULL;
    log_syslog_close();
}

void log_move_apart(void)
{
    int apart =
        the_log.fd == STDERR_FILENO ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : -1;

    if (apart >= 0)
        the_log.fd = apart;
}

bool log_prepare(const struct log_target *target, int *fd, struct error *error)
{
    *fd = -1;
    if (is_syslog(target->path))
        return read_facility(target->path, error) >= 0;
    if (strcmp(target->path, "stderr") == 0)
        return true;
    if (!own_file_check(target->path, OWN_FILE_LOG, error))
        return error_prefix(error, "cannot open the log");
    *fd = log_file_open(target->path, error);
    return *fd >= 0;
}

static void take_fd(int fd)
{
    the_log.fd = fd;
    the_log.manner = fd < 0 ? SINK_PLAIN : sink_manner_of(fd);
}

void log_use(const struct log_target *target, int fd)
{
    struct error error;
    bool syslog = is_syslog(target->path), file = !syslog && strcmp(target->path, "stderr") != 0;

    the_log.level = target->level;
    the_log.format = target->format;
    free(the_log.path);
    the_log.path = file ? must_strdup(target->path) : NULL;
    if (file && fd < 0)
        return;
    if (the_log.fd > STDERR_FILENO)
        close(the_log.fd);
    if (!syslog)
        log_syslog_close();
    the_log.facility = syslog ? read_facility(target->path, &error) : 0;
    take_fd(syslog ? -1 : file ? fd : STDERR_FILENO);
}

bool log_open(const struct log_target *target, struct error *error)
{
    int fd;

    if (!log_prepare(target, &fd, error))
        return false;
    log_use(target, fd);
    return true;
}

bool log_is_at(const char *path)
{
    return the_log.path != NULL && strcmp(the_log.path, path) == 0;
}

bool log_reopen(struct error *error)
{
    if (the_log.path == NULL)
        return true;
    int fd = -1;
    struct log_target same = {.path = the_log.path};
    if (!log_prepare(&same, &fd, error))
        return false;
    log_adopt(fd);
    return true;
}

void log_adopt(int fd)
{
    if (the_log.fd > STDERR_FILENO && dup3(fd, the_log.fd, O_CLOEXEC) >= 0) {
        close(fd);
        fd = the_log.fd;
    }
    take_fd(fd);
}

/* Appends a value as JSON. One that is longer than LOG_VALUE_MAX is cut, and becomes a string. */
static void append_value(struct text *line, const struct log_field *field)
{
    struct bytes text = field->text;
    bool whole = text.size <= LOG_VALUE_MAX;

    if (text.data == NULL) {
        text_printf(line, "%lld", (long long)field->number);
    } else if (field->is_json && whole) {
        text_append_line(line, text);
    } else {
        text_append_char(line, '"');
        text_append_json_printable(line,
                                   (struct bytes){text.data, whole ? text.size : LOG_VALUE_MAX});
        text_append_string(line, whole ? "\"" : "...\"");
    }
}

/* Appends the name of a module's value. Characters that a name cannot hold become "_", and a name
 * that the line has already gets a "_" at its end. */
static void append_name(struct text *line, const struct log_field *fields,
                        const struct log_field *field)
{
    static const char *const own[] = {"time", "level", "process", "pid", "message"};
    bool taken = false;

    for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
        taken = taken || strcmp(field->name, own[i]) == 0;
    for (; fields < field; fields++)
        taken = taken || strcmp(field->name, fields->name) == 0;
    for (const char *c = field->name; *c != '\0'; c++)
        text_append_char(line, isalnum((unsigned char)*c) || *c == '-' || *c == '_' ? *c : '_');
    if (taken)
        text_append_char(line, '_');
}

static void append_members(struct text *line, const struct log_field *fields)
{
    for (const struct log_field *field = fields; field != NULL && field->name != NULL; field++) {
        text_append_string(line, ",\"");
        append_name(line, fields, field);
        text_append_string(line, "\":");
        append_value(line, field);
    }
}

/* Appends the values to a text line. A plain word stays as it is; a value whose end could be
 * mistaken is put in quotes, as in JSON. */
static void append_words(struct text *line, const struct log_field *fields)
{
    for (const struct log_field *field = fields; field != NULL && field->name != NULL; field++) {
        struct bytes text = field->text;
        bool word = text.data != NULL && text.size > 0 && text.size <= LOG_VALUE_MAX;
        for (size_t i = 0; word && i < text.size; i++)
            word = (unsigned char)text.data[i] > 0x20 && (unsigned char)text.data[i] < 0x7f &&
                   strchr("\"\\=", text.data[i]) == NULL;
        text_append_char(line, ' ');
        append_name(line, fields, field);
        text_append_char(line, '=');
        if (word)
            text_append(line, text);
        else
            append_value(line, field);
    }
}

/* Makes the whole line, or for syslog the part that syslogd does not add itself. */
static void append_line(struct text *line, enum log_level level, const struct log_field *fields,
                        const char *message)
{
    char when[CLOCK_TEXT_SIZE];
    struct bytes said = {message, strnlen(message, LOG_LINE_MAX)};

    clock_text(when, sizeof(when));
    if (the_log.fd >= 0 && the_log.format == LOG_FORMAT_JSON) {
        text_printf(
            line, "{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"pid\":%d,\"message\":\"",
            when, levels[level].name, the_log.identity, (int)getpid());
        text_append_json_printable(line, said);
        text_append_char(line, '"');
        append_members(line, fields);
        text_append_string(line, "}\n");
        return;
    }
    if (the_log.fd < 0)
        text_printf(line, "[%s] ", the_log.identity);
    else
        text_printf(line, "%s [%s] %s %d: ", when, levels[level].name, the_log.identity,
                    (int)getpid());
    text_append_line(line, said);
    append_words(line, fields);
    if (the_log.fd >= 0)
        text_append_char(line, '\n');
}

/* ---- Writing, and counting lost lines ---- */

static bool put_line(enum log_level level, const struct text *line)
{
    if (the_log.fd < 0)
        return log_syslog_send(the_log.facility | levels[level].priority, text_string(line));
    if (the_log.torn && sink_write(the_log.fd, the_log.manner, "\n", 1) != 1)
        return false;
    ssize_t put = sink_write(the_log.fd, the_log.manner, line->data, line->size);
    the_log.torn = put > 0 && put < (ssize_t)line->size && !sink_end_line(the_log.fd);
    return put == (ssize_t)line->size;
}

static void lose(uint64_t lines, int error)
{
    the_log.error = error;
    the_log.owed += lines;
}

/* Writes a line that says how many lines are missing at this place. False when that cannot be
 * written either. */
static bool say_lost(void)
{
    struct text line = {0};
    char message[256];
    uint64_t lines = atomic_exchange(&the_log.owed, 0);

    if (lines == 0)
        return true;
    snprintf(message, sizeof(message), "%llu line%s of this process %s missing here: %s",
             (unsigned long long)lines, lines == 1 ? "" : "s", lines == 1 ? "is" : "are",
             the_log.error == EAGAIN ? "the log's reader did not keep up"
                                     : strerrordesc_np(the_log.error));
    append_line(&line, LOG_ERROR_LEVEL, NULL, message);
    bool said = put_line(LOG_ERROR_LEVEL, &line);
    text_free(&line);
    if (!said)
        lose(lines, errno);
    return said;
}

bool log_owes(void)
{
    return atomic_load_explicit(&the_log.owed, memory_order_relaxed) > 0;
}

void log_settle(void)
{
    int saved = errno;

    say_lost();
    errno = saved;
}

void log_count_lost(_Atomic uint64_t *lost)
{
    the_log.lost = lost;
}

void log_write_fields(enum log_level level, const struct log_field *fields, const char *message)
{
    int saved = errno;
    struct text line = {0};

    if (!log_enabled(level))
        return;
    append_line(&line, level, fields, message);
    if (!say_lost() || !put_line(level, &line)) {
        lose(1, errno);
        if (the_log.lost != NULL)
            atomic_fetch_add_explicit(the_log.lost, 1, memory_order_relaxed);
    }
    text_free(&line);
    errno = saved;
}

void log_write(enum log_level level, const char *format, ...)
{
    char message[LOG_LINE_MAX];
    int saved = errno;
    va_list args;

    if (!log_enabled(level))
        return;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    log_write_fields(level, NULL, message);
    errno = saved;
}

void log_error_lines(const char *text)
{
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        if (size > 0)
            log_error("%.*s", (int)size, text);
        text += size + (text[size] == '\n');
    }
}
