/* The sentence for a start that failed: see core/process/startup.h. */
#include "process/startup.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

#define EXITED(number) ((number) << 8) /* as waitpid(2) has it */

static void note(struct startup *startup, const char *text)
{
    struct message message = {.type = MESSAGE_STAGE};

    snprintf(message.text, sizeof(message.text), "%s", text);
    startup_note(startup, &message);
}

START_TEST(a_failed_start_is_put_down_to_the_step_under_way)
{
    static const struct {
        const char *stage, *culprit;
        int status;
        bool late;
        const char *words;
    } rows[] = {
        {NULL, "", SIGSEGV, false, "a worker crashed while starting (SIGSEGV)"},
        {NULL, "", EXITED(3), false, "a worker ended while starting (exit status 3)"},
        {"a.so\nloading", "", SIGABRT, false, "a.so crashed while loading (SIGABRT)"},
        {"a.so\nloading", "", EXITED(0), false,
         "a.so ended the process while loading (exit status 0)"},
        {"a.so\nloading", "", SIGKILL, false,
         "a worker was killed (SIGKILL) while a.so was loading"},
        {"a.so\nloading", "a thread of module b", SIGSEGV, false,
         "a thread of module b crashed while a.so was loading (SIGSEGV)"},
        {"a.so\nloading", "a thread of module b", EXITED(0), false,
         "a thread of module b ended the process while a.so was loading (exit status 0)"},
        {"a.so\nloading", "a thread of module b", SIGKILL, false,
         "a worker was killed (SIGKILL) while a.so was loading"},
        {"a.so\nloading", "", SIGKILL, true,
         "a.so did not finish loading within 7 ms (load_timeout); it was ended"},
        {"\nstarting, after its modules were started", "", EXITED(0), false,
         "a worker ended while starting, after its modules were started (exit status 0)"},
        {"\nstarting, after its modules were started", "", SIGTERM, false,
         "a worker was killed (SIGTERM) while starting, after its modules were started"},
        {"\nstarting, after its modules were started", "", SIGKILL, true,
         "a worker did not finish starting within 7 ms (load_timeout); it was ended"},
    };
    char text[512];

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct startup startup = {0};
        note(&startup, "first.so\nloading");
        note(&startup, rows[i].stage == NULL ? "\n" : rows[i].stage);
        snprintf(startup.culprit, sizeof(startup.culprit), "%s", rows[i].culprit);
        startup_describe(&startup, "a worker", rows[i].status, rows[i].late, 7, text, sizeof(text));
        ck_assert_uint_gt(strlen(text), 0);
        ck_assert_int_eq(text[strlen(text) - 1], '\n');
        text[strlen(text) - 1] = '\0';
        ck_assert_str_eq(text, rows[i].words);
    }
}
END_TEST

UNIT_MAIN("startup", a_failed_start_is_put_down_to_the_step_under_way)
