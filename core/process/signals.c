/* The table of signals, and their disposition in the server. See signals.h. */
#include "process/signals.h"

#include <string.h>

const struct signal_row signal_table[] = {
    {SIGTERM, "stop", ORDER_STOP, "ends at once; requests under way are cut off"},
    {SIGINT, "stop", ORDER_STOP, "the same, from a terminal"},
    {SIGQUIT, "quit", ORDER_QUIT, "stops accepting, finishes the requests under way, ends"},
    {SIGHUP, "reload", ORDER_RELOAD, "puts the configuration and modules as they are now to use"},
    {SIGUSR1, "reopen", ORDER_REOPEN, "opens log files anew, after they were moved away"},
    {SIGUSR2, "upgrade", ORDER_UPGRADE, "puts the binary as it is now to use, master included"},
    {0, NULL, ORDER_NONE, NULL},
};

const struct signal_row *signal_by_verb(const char *verb)
{
    for (const struct signal_row *row = signal_table; row->number != 0; row++) {
        if (strcmp(row->verb, verb) == 0)
            return row;
    }
    return NULL;
}

const struct signal_row *signal_by_number(int number)
{
    for (const struct signal_row *row = signal_table; row->number != 0; row++) {
        if (row->number == number)
            return row;
    }
    return NULL;
}

/* A handler that does nothing. SIG_IGN would be inherited by programs that a module starts
 * (execve(2)). */
static void do_nothing(int number)
{
    (void)number;
}

void signals_blocked(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGCHLD);
    for (const struct signal_row *row = signal_table; row->number != 0; row++)
        sigaddset(set, row->number);
}

void signals_unblock(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool hangup_ignored;

bool signals_hangup_ignored(void)
{
    return hangup_ignored;
}

void signals_end(void)
{
    if (hangup_ignored)
        signal(SIGHUP, SIG_IGN);
}

void signals_by_errno(void)
{
    const struct sigaction action = {.sa_handler = do_nothing, .sa_flags = SA_RESTART};

    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGXFSZ, &action, NULL);
}

bool signals_begin(struct error *error)
{
    struct sigaction action;
    sigset_t set;

    signals_blocked(&set);
    if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
        return error_errno(error, "cannot block signals");
    for (int number = 1; number < NSIG; number++) {
        /* A handler here can only be a sanitizer's, since execve(2) resets handlers. */
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN) {
            hangup_ignored = hangup_ignored || number == SIGHUP;
            signal(number, SIG_DFL);
        }
    }
    signals_by_errno();
    return true;
}
