/* A server in the foreground and the terminal that it was started from: the first line that it
 * shows there, and its end when the terminal is closed.
 *
 * SIGHUP means two things: the kernel and the shell send it when the terminal is closed (tty(4),
 * setsid(2)), and operators send it for a reload. Only the first is an end, and only for a server
 * that has a terminal: not after `daemon on`, not under nohup(1) or a service manager. */
#ifndef PILLION_MASTER_TERMINAL_H
#define PILLION_MASTER_TERMINAL_H

#include <stdbool.h>
#include <sys/signalfd.h>

#include "base/bytes.h"
#include "process/generation.h"

/* Remembers the terminal, if there is one. The master calls this before it serves. */
void terminal_begin(void);

enum terminal_hangup {
    HANGUP_NONE,    /* a person or program asks for a reload */
    HANGUP_IGNORED, /* the terminal was closed, and nohup(1) has started the server */
    HANGUP_ENDS     /* the terminal was closed */
};

/* Tells what this SIGHUP means. */
enum terminal_hangup terminal_hangup(const struct signalfd_siginfo *info);

/* "serving on 127.0.0.1:8080; try: build/pillion call ping 1": the second part when `program`, the
 * command's name as it was typed, is not NULL, and there is a method to try. */
void terminal_announce(struct text *out, const struct generation *generation, const char *program);

#endif
