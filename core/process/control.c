/* The control socket: `pillion -s` asks here and waits for the outcome. See master.h.
 *
 * One line comes in, a verb of signals.h. One answer goes out when it is done: "ok" or "failed" and
 * a newline, then text for people, then the end. Only the server's user and root can reach it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "process/master.h"

static void client_free(struct control_client *client)
{
    for (struct control_client **at = &master.clients; *at != NULL; at = &(*at)->next) {
        if (*at == client) {
            *at = client->next;
            break;
        }
    }
    loop_unwatch(&master.loop, &client->watch);
    close(client->watch.fd);
    free(client);
}

/* Answers and closes. Answers are short and the socket's buffer is empty: one send takes it, or the
 * client does not want it. */
static void client_answer(struct control_client *client, bool good, const char *text)
{
    struct text answer = {0};

    text_printf(&answer, "%s\n%s%s", good ? "ok" : "failed", text,
                text[0] == '\0' || text[strlen(text) - 1] == '\n' ? "" : "\n");
    if (send(client->watch.fd, answer.data, answer.size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("a control client did not wait for its answer");
    text_free(&answer);
    client_free(client);
}

void control_answer(enum order order, bool all, bool good, const char *text)
{
    struct control_client *next;

    for (struct control_client *c = master.clients; c != NULL; c = next) {
        next = c->next;
        if (c->order == order && (all || !c->joined_next))
            client_answer(c, good, text);
    }
}

/* Carries the order out as soon as the line is whole. */
static void client_look(struct control_client *client)
{
    char *end = strchr(client->line, '\n');

    if (end == NULL) {
        if (client->size == sizeof(client->line) - 1)
            client_answer(client, false, "the verb is too long");
        return;
    }
    *end = '\0';
    const struct signal_row *row = signal_by_verb(client->line);
    if (row == NULL) {
        client_answer(client, false, "unknown verb");
        return;
    }
    client->order = row->order;
    log_notice("%s was asked for by the control socket", row->verb);
    master_order(row->order, client);
}

static void client_ready(struct watch *watch, uint32_t events)
{
    struct control_client *client = container_of(watch, struct control_client, watch);

    (void)events;
    size_t room = sizeof(client->line) - 1 - client->size;
    ssize_t got = recv(watch->fd, client->line + client->size, room, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) { /* it does not wait any longer; what it asked for goes on */
        client_free(client);
        return;
    }
    if (client->order != ORDER_NONE)
        return;
    client->size += (size_t)got;
    client->line[client->size] = '\0';
    client_look(client);
}

/* Listens to whoever is connected by `fd`. NULL, with that closed, when it cannot be watched. */
static struct control_client *client_new(int fd)
{
    struct control_client *client = must_zalloc(sizeof(*client));

    if (!loop_watch(&master.loop, &client->watch, fd, EPOLLIN, client_ready)) {
        close(fd);
        free(client);
        return NULL;
    }
    client->next = master.clients;
    master.clients = client;
    return client;
}

static void control_accept(struct watch *watch, uint32_t events)
{
    (void)events;
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        client_new(fd);
}

bool control_open(const char *path, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(error, "the path of the control socket is too long: %s", path);
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(error, "cannot create the control socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN) {
        close(fd);
        return error_set(error,
                         "a server is running here already: it answers on %s (`pillion -s "
                         "stop` ends it, `control PATH;` gives this one another place)",
                         path);
    }
    unlink(path);
    mode_t mask = umask(0177);
    int bound = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (bound < 0 || listen(fd, 16) < 0 ||
        !loop_watch(&master.loop, &master.control, fd, EPOLLIN, control_accept)) {
        error_errno(error, "cannot listen on the control socket %s", path);
        close(fd);
        return false;
    }
    master.control_path = must_strdup(path);
    return true;
}

void control_resume(int fd, const char *path)
{
    master.control_path = must_strdup(path);
    if (fd < 0 || !loop_watch(&master.loop, &master.control, fd, EPOLLIN, control_accept))
        log_error("cannot watch the control socket %s", path);
}

void control_resume_client(int fd, const char *said)
{
    struct control_client *client = client_new(fd);

    if (client == NULL)
        return;
    if (said == NULL) { /* what it waits for now is the reload that ends the upgrade */
        client->order = ORDER_RELOAD;
        return;
    }
    snprintf(client->line, sizeof(client->line), "%s", said);
    client->size = strlen(client->line);
    client_look(client);
}

void control_close(void)
{
    if (master.control_path != NULL) {
        unlink(master.control_path); /* while it is surely this server's */
        loop_unwatch(&master.loop, &master.control);
        close(master.control.fd);
        free(master.control_path);
        master.control_path = NULL;
    }
    control_answer(ORDER_STOP, true, true, "");
    control_answer(ORDER_QUIT, true, true, "");
    while (master.clients != NULL)
        client_free(master.clients);
}
