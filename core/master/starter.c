/* Reports to the process that started the server. See starter.h. */
#include "master/starter.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/printable.h"

static int report = -1;

void starter_begin(int pipe_end)
{
    report = pipe_end;
}

void starter_serves(void)
{
    static const char serving = STARTER_SERVING;

    if (report < 0)
        return;
    if (write(report, &serving, 1) < 0)
        log_debug("nobody waits for the server to serve");
    close(report);
    report = -1;
}

void starter_fails(const char *why)
{
    size_t size = strlen(why);
    const char *end = size > 0 && why[size - 1] == '\n' ? "" : "\n";

    if (report >= 0) {
        dprintf(report, "%s%s", why, end);
    } else {
        printable_print(stderr, bytes_of(why));
        fputs(end, stderr);
    }
    if (log_descriptor() == STDERR_FILENO)
        return;
    log_error("the server could not be started");
    log_error_lines(why);
}
