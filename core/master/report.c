/* Telling the operator. See report.h. */
#include "master/report.h"

#include <stdio.h>
#include <string.h>

#include "master/control.h"
#include "master/master.h"
#include "rpc/board.h"

static void add(enum journal_kind kind, const struct report_subject *subject, const char *text)
{
    struct journal_event event = {.kind = kind,
                                  .generation = atomic_load(&master.board->generation)};

    if (subject != NULL) {
        event.pid = subject->pid;
        if (subject->method != NULL)
            snprintf(event.method, sizeof(event.method), "%s", subject->method);
        if (subject->module != NULL)
            snprintf(event.module, sizeof(event.module), "%s", subject->module);
    }
    snprintf(event.text, sizeof(event.text), "%s", text);
    journal_add(&master.board->journal, &event);
    control_news();
}

void report(enum journal_kind kind, const struct report_subject *subject, const char *format, ...)
{
    struct text text = {0};
    va_list args;

    va_start(args, format);
    text_vprintf(&text, format, args);
    va_end(args);
    log_write(journal_kind_level(kind), "%s", text_string(&text));
    add(kind, subject, text_string(&text));
    text_free(&text);
}

void report_reason(enum journal_kind kind, const char *reason, const char *format, ...)
{
    struct text text = {0};
    va_list args;

    va_start(args, format);
    text_vprintf(&text, format, args);
    va_end(args);
    log_write(journal_kind_level(kind), "%s", text_string(&text));
    log_error_lines(reason);
    if (reason[0] != '\0')
        text_printf(&text, ": %.*s", (int)strcspn(reason, "\n"), reason);
    add(kind, NULL, text_string(&text));
    text_free(&text);
}
