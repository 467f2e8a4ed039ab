/* The table of signals. See signals.h. */
#include "process/signals.h"

#include <string.h>

const struct signal_row signal_table[] = {
    {SIGTERM, "stop", ORDER_STOP, "ends at once; what is under way is cut off"},
    {SIGINT, "stop", ORDER_STOP, "the same, from a terminal"},
    {SIGQUIT, "quit", ORDER_QUIT, "stops accepting, finishes what it has begun, ends"},
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
