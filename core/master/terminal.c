/* A server in the foreground and its terminal. See terminal.h. */
#include "master/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "process/signals.h"

#define SHOWN_MAX 8u /* most addresses in the first line */

static int terminal = -1;

void terminal_begin(void)
{
    /* Fails with ENXIO where there is none (tty(4)). */
    terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
}

/* The terminal is closed before SIGHUP is sent for it, so a SIGHUP that comes while the terminal is
 * open asks for a reload. So does a later SIGHUP that neither kernel nor shell has sent: the server
 * may have outlived its terminal. */
enum terminal_hangup terminal_hangup(const struct signalfd_siginfo *info)
{
    struct pollfd poller = {.fd = terminal};
    bool by_kernel = info->ssi_code == SI_KERNEL;
    bool by_shell = info->ssi_pid == (uint32_t)getsid(0);

    if (terminal < 0 || !(by_kernel || by_shell) || poll(&poller, 1, 0) != 1 ||
        (poller.revents & (POLLHUP | POLLERR)) == 0)
        return HANGUP_NONE;
    return signals_hangup_ignored() ? HANGUP_IGNORED : HANGUP_ENDS;
}

/* ---- The first line ---- */

static bool offers(const struct server_settings *server, const char *name)
{
    for (const struct method_settings *m = server->methods; m != NULL; m = m->next) {
        if (strcmp(m->name, name) == 0)
            return true;
    }
    return false;
}

static bool is_default(const struct address *address)
{
    return strcmp(address->text, "127.0.0.1:8080") == 0 ||
           strcmp(address->text, "0.0.0.0:8080") == 0;
}

/* Appends a command that works as it stands, if the server offers a method that can be tried. */
static void append_try(struct text *out, const struct generation_listener *listener,
                       const char *program)
{
    const struct address *address = &listener->listener->address;
    const char *what = offers(listener->server, "ping")       ? "call"
                       : offers(listener->server, "rpc.list") ? "list"
                                                              : NULL;

    if (what == NULL || listener->proxied)
        return;
    text_printf(out, "; try: %s %s%s%s%s", program, what, is_default(address) ? "" : " --server ",
                is_default(address) ? "" : address->text,
                strcmp(what, "call") == 0 ? " ping 1" : "");
}

void terminal_announce(struct text *out, const struct generation *generation, const char *program)
{
    text_append_string(out, "serving on ");
    for (size_t i = 0; i < generation->listener_count && i < SHOWN_MAX; i++)
        text_printf(out, "%s%s", i == 0 ? "" : ", ",
                    generation->listeners[i].listener->address.text);
    if (generation->listener_count > SHOWN_MAX)
        text_printf(out, " and %zu more", generation->listener_count - SHOWN_MAX);
    if (program != NULL && generation->listener_count > 0)
        append_try(out, &generation->listeners[0], program);
}
