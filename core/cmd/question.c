/* Asking without waiting. See question.h. */
#include "cmd/question.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "net/address.h"

#define OK_LINE    "ok\n"
#define PATIENCE_S 5

/* False with the reason. */
static bool reach(int fd, const struct address *address, const char *path, struct error *error)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};

    /* It also limits connect(2), to a socket whose queue is full. */
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)&address->socket, address->size) == 0)
        return true;
    if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
        return error_set(error, "no server is running: nobody answers at %s", path);
    return error_errno(error, "cannot reach the server at %s", path);
}

bool question_begin(struct question *question, const char *path, const char *word,
                    struct error *error)
{
    struct address address;
    struct text text = {0};

    text_clear(&question->answer);
    text_printf(&text, "unix:%s", path);
    bool good = address_parse(text_string(&text), NULL, false, &address, error);
    text_clear(&text);
    text_printf(&text, "%s\n", word);
    if (good) {
        question->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        good = question->fd >= 0 ? reach(question->fd, &address, path, error)
                                 : error_errno(error, "cannot create a socket");
    }
    /* The socket's buffer is empty: it takes all of a short line. */
    if (good && send(question->fd, text.data, text.size, MSG_NOSIGNAL) != (ssize_t)text.size)
        good = error_errno(error, "cannot ask the server at %s", path);
    text_free(&text);
    if (!good)
        question_end(question);
    return good;
}

static enum question_state over(struct question *question)
{
    struct text *answer = &question->answer;

    close(question->fd);
    question->fd = -1;
    if (strstr(text_string(answer), "unknown verb") != NULL &&
        strncmp(text_string(answer), OK_LINE, strlen(OK_LINE)) != 0)
        return QUESTION_REFUSED;
    if (answer->size < strlen(OK_LINE) || memcmp(answer->data, OK_LINE, strlen(OK_LINE)) != 0 ||
        answer->data[answer->size - 1] != '\n')
        return QUESTION_LOST;
    answer->size -= strlen(OK_LINE);
    memmove(answer->data, answer->data + strlen(OK_LINE), answer->size + 1);
    return QUESTION_ANSWERED;
}

enum question_state question_look(struct question *question)
{
    char buffer[16384];
    ssize_t size;

    while ((size = recv(question->fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0)
        text_append(&question->answer, (struct bytes){buffer, (size_t)size});
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return QUESTION_OPEN;
    return over(question);
}

enum question_state question_wait(struct question *question)
{
    enum question_state state;

    while ((state = question_look(question)) == QUESTION_OPEN)
        poll(&(struct pollfd){.fd = question->fd, .events = POLLIN}, 1, -1);
    return state;
}

void question_end(struct question *question)
{
    if (question->fd >= 0)
        close(question->fd);
    question->fd = -1;
    text_free(&question->answer);
}
