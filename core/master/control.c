/* The control socket: `pillion -s` sends an order here and waits for the outcome. See control.h.
 *
 * A client sends one line, a verb of signals.h. It gets one answer when the order is done: "ok" or
 * "failed" and a newline, then text for people, then the end of the stream. A client that asks to
 * be shown something gets it at once. Only the server's user and root can reach it, unless
 * `control` gives others the right to. */
#include "master/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"
#include "master/master.h"
#include "master/state.h"
#include "net/unix_socket.h"

#define BACKLOG 16

struct control_client {
    struct watch watch;
    char line[64];
    size_t size;
    enum order order;    /* ORDER_NONE until the line is whole */
    bool waits_for_next; /* the order is the reload after the one under way */
    bool waits_for_news; /* `line` is a word whose answer comes with the next event */
    struct text shown;   /* what it has asked to be shown, */
    size_t sent;         /* and so much of it has been sent */
    struct control_client *next;
};

static struct {
    struct watch listening;
    char *path; /* of the socket's file; NULL: there is no socket */
    struct unix_access access;
    struct file_id file; /* the socket's own file: only that one is removed at the end */
    struct control_client *clients;
    void (*obey)(enum order order, struct control_client *client);
    enum control_shown (*show)(const char *word, struct text *out);
    struct timer news;
} control = {.listening.fd = -1};

void control_begin(void (*obey)(enum order order, struct control_client *client),
                   enum control_shown (*show)(const char *word, struct text *out))
{
    control.obey = obey;
    control.show = show;
}

const char *control_path(void)
{
    return control.path;
}

static void client_free(struct control_client *client)
{
    for (struct control_client **at = &control.clients; *at != NULL; at = &(*at)->next) {
        if (*at == client) {
            *at = client->next;
            break;
        }
    }
    loop_unwatch(&master.loop, &client->watch);
    close(client->watch.fd);
    text_free(&client->shown);
    free(client);
}

/* Sends the answer. It is short and the socket's buffer is empty, so one send takes all of it, or
 * the client has gone. */
static void send_answer(int fd, bool good, const char *text)
{
    struct text answer = {0};
    struct error error;

    text_printf(&answer, "%s\n%s%s", good ? "ok" : "failed", text,
                text[0] == '\0' || text[strlen(text) - 1] == '\n' ? "" : "\n");
    if (send(fd, answer.data, answer.size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        bool left = errno == EPIPE || errno == ECONNRESET;
        error_errno(&error, "a control client has not got its answer");
        if (left)
            log_debug("%s", error.text);
        else
            log_warn("%s", error.text);
    }
    text_free(&answer);
}

static void client_answer(struct control_client *client, bool good, const char *text)
{
    send_answer(client->watch.fd, good, text);
    client_free(client);
}

void control_answer(enum order order, bool all, bool good, const char *text)
{
    struct control_client *next;

    for (struct control_client *c = control.clients; c != NULL; c = next) {
        next = c->next;
        if (c->order == order && (all || !c->waits_for_next))
            client_answer(c, good, text);
    }
}

void control_wait(struct control_client *client, bool for_next)
{
    if (client != NULL)
        client->waits_for_next = for_next;
}

void control_advance(void)
{
    for (struct control_client *c = control.clients; c != NULL; c = c->next)
        c->waits_for_next = false;
}

/* Sends more of what the client is to be shown, which may be more than a socket takes at once. */
static void client_show(struct control_client *client)
{
    const struct text *shown = &client->shown;

    while (client->sent < shown->size) {
        ssize_t sent = send(client->watch.fd, shown->data + client->sent,
                            shown->size - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            loop_change(&master.loop, &client->watch, EPOLLIN | EPOLLOUT);
            return;
        }
        if (sent < 0)
            break;
        client->sent += (size_t)sent;
    }
    client_free(client);
}

/* True when the client's line is a word that asks to be shown something. */
static bool client_is_shown(struct control_client *client)
{
    text_append_string(&client->shown, "ok\n");
    enum control_shown shown = control.show(client->line, &client->shown);
    client->waits_for_news = shown == CONTROL_LATER;
    if (shown == CONTROL_SHOWN)
        client_show(client);
    else
        text_free(&client->shown);
    return shown != CONTROL_UNKNOWN;
}

static void show_news(struct timer *timer)
{
    struct control_client *next;

    (void)timer;
    for (struct control_client *c = control.clients; c != NULL; c = next) {
        next = c->next;
        if (c->waits_for_news)
            client_is_shown(c);
    }
}

void control_news(void)
{
    for (const struct control_client *c = control.clients; c != NULL; c = c->next) {
        if (c->waits_for_news) {
            timer_set(&master.loop, &control.news, 0, show_news);
            return;
        }
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
    if (client_is_shown(client))
        return;
    const struct signal_row *row = signal_by_verb(client->line);
    if (row == NULL) {
        client_answer(client, false, "unknown verb");
        return;
    }
    client->order = row->order;
    log_notice("%s was asked for by the control socket", row->verb);
    control.obey(row->order, client);
}

static void client_ready(struct watch *watch, uint32_t events)
{
    struct control_client *client = container_of(watch, struct control_client, watch);
    struct error error;

    if (client->shown.size > 0) {
        if ((events & EPOLLOUT) != 0)
            client_show(client);
        else
            client_free(client); /* it has gone, or says more than it has to */
        return;
    }
    size_t room = sizeof(client->line) - 1 - client->size;
    ssize_t got = recv(watch->fd, client->line + client->size, room, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0 && errno != ECONNRESET && client->order == ORDER_NONE) {
        error_errno(&error, "cannot read an order");
        client_answer(client, false, error.text);
        return;
    }
    if (got <= 0) { /* the client has gone; its order is carried out all the same */
        client_free(client);
        return;
    }
    if (client->order != ORDER_NONE || client->waits_for_news)
        return;
    client->size += (size_t)got;
    client->line[client->size] = '\0';
    client_look(client);
}

/* Listens to the client that is connected by `fd`. NULL when it cannot be watched: then it was told
 * so, and `fd` is closed. */
static struct control_client *client_new(int fd)
{
    struct control_client *client = must_zalloc(sizeof(*client));
    struct error error;

    if (!loop_watch(&master.loop, &client->watch, fd, EPOLLIN, client_ready)) {
        error_errno(&error, "cannot listen to a client of the control socket");
        log_error("%s", error.text);
        send_answer(fd, false, error.text);
        close(fd);
        free(client);
        return NULL;
    }
    client->next = control.clients;
    control.clients = client;
    return client;
}

static void control_accept(struct watch *watch, uint32_t events)
{
    (void)events;
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    descriptors_refuse(fd);
    client_new(fd);
}

/* Stops listening and removes the socket's file. Connected clients stay. */
static void control_leave(void)
{
    if (control.path == NULL)
        return;
    /* Before closing: while the socket is open, no other server takes its path. */
    own_file_remove(control.path, control.file);

    loop_unwatch(&master.loop, &control.listening);
    if (control.listening.fd >= 0)
        close(control.listening.fd);
    free(control.path);
    control.path = NULL;
}

/* Makes `fd` the control socket. When it cannot be watched, no client would be heard: its file is
 * removed, and the next control_keep makes it anew. */
static bool control_take(int fd, const char *path, struct file_id file, struct error *error)
{
    char *copy = must_strdup(path); /* `path` may be control.path, which is freed below */

    control_leave();
    control.path = copy;
    control.file = file;
    control.listening = (struct watch){.fd = -1};
    if (fd < 0 || loop_watch(&master.loop, &control.listening, fd, EPOLLIN, control_accept))
        return true;
    error_errno(error, "cannot watch the control socket %s", control.path);
    own_file_remove(control.path, control.file);
    control.file = (struct file_id){0};
    control.listening.fd = -1;
    close(fd);
    return false;
}

/* Makes a socket at `path`, which takes the former one's place. */
static bool listen_at(const char *path, const struct unix_access *access, struct error *error)
{
    struct file_id file;
    bool taken;

    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return error_set(error, "the path of the control socket is too long: %s", path);
    int fd = unix_listen(path, access, BACKLOG, &file, &taken, error);
    if (fd < 0 && taken)
        return error_set(error,
                         "a server is running here already: it answers on %s (`pillion -s "
                         "stop` ends it, `control PATH;` gives this one another place)",
                         path);
    if (fd < 0)
        return error_prefix(error, "the control socket");
    control.access = *access;
    return control_take(fd, path, file, error);
}

bool control_open(const struct settings *settings, struct error *error)
{
    const struct unix_access access = {settings->control_mode, settings->control_group};

    if (control.path == NULL || strcmp(settings->control, control.path) != 0)
        return listen_at(settings->control, &access, error);
    if (!unix_allow(control.path, control.file, &access, error))
        return error_prefix(error, "the control socket");
    control.access = access;
    return true;
}

bool control_keep(struct error *error)
{
    if (file_id_same(file_id_of(control.path), control.file))
        return true;
    return listen_at(control.path, &control.access, error);
}

/* ---- Upgrade ---- */

/* Clients that wait for this upgrade are answered by the new master. The other clients have sent no
 * whole line yet, or wait for files to be opened anew or for news: the new master handles them as
 * if they had just connected and sent `said`. */
static void write_clients(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "clients");
    cJSON *others = cJSON_AddArrayToObject(state, "other_clients");
    char said[sizeof(((struct control_client *)NULL)->line) + 1];

    for (struct control_client *c = control.clients; c != NULL; c = c->next) {
        if (c->order == ORDER_UPGRADE) {
            cJSON_AddItemToArray(list, cJSON_CreateNumber(c->watch.fd));
            continue;
        }
        if (c->shown.size > 0) /* half of it is sent: the client is told that it has not got all */
            continue;
        bool whole = c->order != ORDER_NONE || c->waits_for_news;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "fd", c->watch.fd);
        snprintf(said, sizeof(said), "%s%s", c->line, whole ? "\n" : "");
        cJSON_AddStringToObject(item, "said", said);
        cJSON_AddItemToArray(others, item);
    }
}

void control_write(cJSON *state)
{
    cJSON_AddNumberToObject(state, "control", control.listening.fd);
    cJSON_AddStringToObject(state, "control_path", control.path);
    state_add_file(state, "control_file", control.file);
    cJSON_AddNumberToObject(state, "control_mode", control.access.mode);
    cJSON_AddNumberToObject(state, "control_group", control.access.group);
    write_clients(state);
}

void control_resume_client(int fd, const char *said)
{
    struct control_client *client = client_new(fd);

    if (client == NULL)
        return;
    if (said == NULL) { /* the client waits for the upgrade, which ends with a reload */
        client->order = ORDER_RELOAD;
        return;
    }
    snprintf(client->line, sizeof(client->line), "%s", said);
    client->size = strlen(client->line);
    client_look(client);
}

void control_read(const cJSON *state)
{
    const char *path = state_words(state, "control_path", NULL);
    const cJSON *item;
    struct error error;

    control.access = (struct unix_access){
        .mode = (mode_t)state_number(state, "control_mode", 0600),
        .group = (gid_t)state_number(state, "control_group", (gid_t)-1),
    };
    if (!control_take((int)state_number(state, "control", -1), path,
                      state_file(state, "control_file", path), &error))
        log_error("%s", error.text);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "clients"))
        control_resume_client(item->valueint, NULL);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "other_clients"))
        control_resume_client((int)state_number(item, "fd", -1), state_words(item, "said", ""));
}

void control_keep_open(bool keep)
{
    for (struct control_client *c = control.clients; c != NULL; c = c->next) {
        if (c->shown.size == 0)
            state_keep_open(c->watch.fd, keep);
    }
    state_keep_open(control.listening.fd, keep);
}

void control_close(void)
{
    control_leave();
    show_news(NULL);
    control_answer(ORDER_STOP, true, true, "");
    control_answer(ORDER_QUIT, true, true, "");
    while (control.clients != NULL)
        client_free(control.clients);
}
