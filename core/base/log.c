/* The log. See log.h. */
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/place.h"
#include "base/printable.h"

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
    enum log_level level;
    enum log_format format;
    char identity[32];
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

static int open_file(const char *path, struct error *error)
{
    if (!place_check(path, PLACE_LOG, error)) {
        error_prefix(error, "cannot open the log");
        return -1;
    }
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0)
        error_errno(error, "cannot open the log %s", path);
    return fd;
}

static bool open_syslog(const char *path, struct error *error)
{
    int facility = LOG_DAEMON;

    if (path[strlen("syslog")] == ':') {
        const char *name = path + strlen("syslog:");
        size_t i = 0;
        while (i < sizeof(facilities) / sizeof(*facilities) &&
               strcmp(facilities[i].name, name) != 0)
            i++;
        if (i == sizeof(facilities) / sizeof(*facilities))
            return error_set(error,
                             "unknown syslog facility \"%s\"; daemon, user, auth and local0 "
                             "to local7 are known",
                             name);
        facility = facilities[i].facility;
    }
    openlog("pillion", LOG_PID | LOG_NDELAY, facility);
    return true;
}

static bool is_syslog(const char *path)
{
    return strcmp(path, "syslog") == 0 || strncmp(path, "syslog:", 7) == 0;
}

void log_in_child(void)
{
    if (the_log.fd < 0)
        closelog();
}

bool log_open(const struct log_target *target, struct error *error)
{
    int fd = STDERR_FILENO;
    bool file = false;

    if (is_syslog(target->path)) {
        if (!open_syslog(target->path, error))
            return false;
        fd = -1;
    } else if (strcmp(target->path, "stderr") != 0) {
        fd = open_file(target->path, error);
        if (fd < 0)
            return false;
        file = true;
    }
    if (the_log.fd > STDERR_FILENO)
        close(the_log.fd);
    free(the_log.path);
    the_log.fd = fd;
    the_log.path = file ? must_strdup(target->path) : NULL;
    the_log.level = target->level;
    the_log.format = target->format;
    return true;
}

bool log_reopen(struct error *error)
{
    if (the_log.path == NULL)
        return true;
    int fd = open_file(the_log.path, error);
    if (fd < 0)
        return false;
    log_adopt(fd);
    return true;
}

void log_adopt(int fd)
{
    if (the_log.fd > STDERR_FILENO && dup3(fd, the_log.fd, O_CLOEXEC) >= 0) {
        close(fd);
        return;
    }
    the_log.fd = fd;
}

/* Standard error may be a full pipe or a closed terminal: a line that cannot be written is dropped
 * and never holds up the server. */
static void write_line(const char *line, size_t size)
{
    while (size > 0) {
        ssize_t put = write(the_log.fd, line, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return;
        line += put;
        size -= (size_t)put;
    }
}

/* A value as JSON. What is longer than LOG_VALUE_MAX is cut, and a string then. */
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

/* Modules give names. What cannot stand in one becomes _, and one that is taken is followed by it.
 */
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

/* A word stands as it is; what would be hard to tell from what follows is in quotes, as in JSON. */
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

void log_write_fields(enum log_level level, const struct log_field *fields, const char *message)
{
    char when[CLOCK_TEXT_SIZE];
    int saved = errno;
    struct text clean = {0}, line = {0};

    if (!log_enabled(level))
        return;
    text_append_line(&clean, (struct bytes){message, strnlen(message, LOG_LINE_MAX)});
    clock_text(when, sizeof(when));
    if (the_log.fd < 0) {
        append_words(&line, fields);
        syslog(levels[level].priority, "[%s] %s%s", the_log.identity, text_string(&clean),
               text_string(&line));
    } else if (the_log.format == LOG_FORMAT_JSON) {
        text_printf(
            &line, "{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"pid\":%d,\"message\":\"",
            when, levels[level].name, the_log.identity, (int)getpid());
        text_append_json_printable(&line, (struct bytes){message, strnlen(message, LOG_LINE_MAX)});
        text_append_char(&line, '"');
        append_members(&line, fields);
        text_append_string(&line, "}\n");
        write_line(line.data, line.size);
    } else {
        text_printf(&line, "%s [%s] %s %d: %s", when, levels[level].name, the_log.identity,
                    (int)getpid(), text_string(&clean));
        append_words(&line, fields);
        text_append_char(&line, '\n');
        write_line(line.data, line.size);
    }
    text_free(&line);
    text_free(&clean);
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
