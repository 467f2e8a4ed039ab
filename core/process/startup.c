/* Describing a failed start. See startup.h. */
#include "process/startup.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "process/core_dump.h"
#include "process/sandbox.h"

void startup_note(struct startup *startup, const struct message *message)
{
    const char *line = strchr(message->text, '\n');

    if (message->type == MESSAGE_FAILED) {
        startup->failed = true;
        snprintf(startup->failure, sizeof(startup->failure), "%s", message->text);
    } else if (message->type == MESSAGE_SANDBOXED && startup->refused[0] == '\0') {
        sandbox_describe(message->serial, message->number, startup->refused,
                         sizeof(startup->refused));
    } else if (message->type == MESSAGE_STAGE && line != NULL) {
        snprintf(startup->label, sizeof(startup->label), "%.*s", (int)(line - message->text),
                 message->text);
        snprintf(startup->doing, sizeof(startup->doing), "%s", line + 1);
    }
}

void describe_status(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        snprintf(text, size, "SIG%s%s", name == NULL ? "?" : name,
                 WCOREDUMP(status) ? ", core dumped" : "");
    } else {
        snprintf(text, size, "exit status %d", WEXITSTATUS(status));
    }
}

void startup_status(const struct startup *startup, int status, char text[STATUS_WORDS_MAX])
{
    char how[64];
    bool tells = startup->refused[0] != '\0' && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;

    describe_status(status, how, sizeof(how));
    snprintf(text, STATUS_WORDS_MAX, "%s%s%s", how, tells ? "; " : "",
             tells ? startup->refused : "");
}

/* How the process ended by itself. */
static const char *deed(const struct startup *startup, int status)
{
    if (WIFSIGNALED(status))
        return "crashed";
    return startup->label[0] == '\0' && startup->culprit[0] == '\0' ? "ended" : "ended the process";
}

void startup_describe(const struct startup *startup, const char *process_name, int status,
                      bool late, uint64_t limit_ms, char *text, size_t size)
{
    bool between = startup->label[0] == '\0', by_thread = startup->culprit[0] != '\0';
    const char *label = between ? process_name : startup->label;
    const char *doing = startup->doing[0] == '\0' ? "starting" : startup->doing;
    char how[STATUS_WORDS_MAX];

    startup_status(startup, status, how);
    if (startup->failed)
        snprintf(text, size, "%s", startup->failure);
    else if (late)
        snprintf(text, size, "%s did not finish %s within %llu ms (load_timeout); it was ended\n",
                 label, between ? "starting" : doing, (unsigned long long)limit_ms);
    else if (WIFSIGNALED(status) && !signal_dumps_core(WTERMSIG(status)))
        snprintf(text, size, "%s was killed (%s) while %s%s%s\n", process_name, how,
                 between ? "" : label, between ? "" : " was ", doing);
    else if (by_thread)
        snprintf(text, size, "%s %s while %s was %s (%s)\n", startup->culprit,
                 deed(startup, status), label, doing, how);
    else
        snprintf(text, size, "%s %s while %s (%s)\n", label, deed(startup, status), doing, how);
}
