/* `pillion -s VERB`: sends an order to the running server, and waits for its answer.
 *
 * The master answers on its control socket: a line that says "ok" or "failed", then text for
 * people, then the end of the stream. If no server answers there, the verb's signal goes to the
 * process of the pid file; then only the log tells the outcome. */
#include "cmd/signal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/printable.h"
#include "cmd/question.h"
#include "conf/parser.h"
#include "conf/settings_table.h"
#include "net/address.h"
#include "process/signals.h"

/* Reads just enough of the configuration to know `control` and `pid`. A configuration with errors
 * must not keep an operator from stopping the running server: the readable part is used. The errors
 * are shown only when no server was found, because they may be the reason. */
static struct conf_tree *read_paths(const struct serve_options *options, struct settings **settings,
                                    struct conf_errors *errors)
{
    struct conf_tree *tree = conf_tree_new(options->prefix);

    if (options->directives != NULL)
        conf_tree_add_text(tree, "-g", bytes_of(options->directives), true, errors);
    conf_tree_add_file(tree, options->conf, errors);
    *settings = pool_must_zalloc(&tree->pool, sizeof(**settings));
    settings_read(tree, *settings, errors);
    return tree;
}

/* Connects to the control socket. -1 when no server listens there, -2 after another failure, with a
 * message. */
static int control_connect(const struct command *command, const char *path)
{
    struct address address;
    struct error error;
    struct text text = {0};

    text_printf(&text, "unix:%s", path);
    bool good = address_parse(text_string(&text), NULL, false, &address, &error);
    text_free(&text);
    if (!good)
        return command_failed(command, -2, "%s", error.text);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return command_failed_errno(command, -2, "cannot create a socket");
    if (connect(fd, (const struct sockaddr *)&address.socket, address.size) == 0)
        return fd;
    int status = errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR ? -1 : -2;
    if (status == -2)
        command_failed_errno(command, status, "cannot reach the server at %s", path);
    close(fd);
    return status;
}

/* Sends the verb and reads the whole answer. False when the server ended before it was done. */
static bool ask(int fd, const char *verb, struct text *answer)
{
    char line[64], buffer[4096];
    ssize_t size;

    int length = snprintf(line, sizeof(line), "%s\n", verb);
    if (send(fd, line, (size_t)length, MSG_NOSIGNAL) != length)
        return false;
    while ((size = recv(fd, buffer, sizeof(buffer), 0)) != 0) {
        if (size < 0 && errno != EINTR)
            return false;
        if (size > 0)
            text_append(answer, (struct bytes){buffer, (size_t)size});
    }
    return true;
}

static int report(const struct command *command, const char *answer, bool quiet)
{
    size_t line = strcspn(answer, "\n");
    const char *words = answer + line + (answer[line] == '\n' ? 1 : 0);
    bool good = line == 2 && memcmp(answer, "ok", 2) == 0;
    FILE *to = good ? stdout : stderr;

    if (!good && (line != 6 || memcmp(answer, "failed", 6) != 0))
        return command_failed(command, EXIT_FAILURE,
                              "the server went away before it answered; its log may say why");
    if (good && words[0] == '\0') /* after stop and quit the server is gone and says no more */
        words = "the server has ended";
    if (!good || !quiet)
        printable_print(to, bytes_of(words));
    if ((!good || !quiet) && words[0] != '\0' && words[strlen(words) - 1] != '\n')
        fputc('\n', to);
    return command_flush(command, good ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* The process id in an old pid file may belong to another program by now, which must not be
 * signalled. A master's title begins with "pillion" (process/title.h). */
static bool is_pillion(long pid)
{
    char path[64], line[4096] = "";

    snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    size_t size = fread(line, 1, sizeof(line) - 1, file);
    fclose(file);
    line[size] = '\0';
    return strstr(line, "pillion") != NULL;
}

/* The process of the pid file, or 0 with `why`. */
static long read_pid(const char *path, struct error *why)
{
    long pid = 0;

    FILE *file = fopen(path, "re");
    if (file == NULL) {
        error_errno(why, "cannot read %s", path);
        return 0;
    }
    if (fscanf(file, "%ld", &pid) != 1 || pid <= 1) {
        error_set(why, "%s holds no process id", path);
        pid = 0;
    } else if (!is_pillion(pid)) {
        error_set(why, "%s names process %ld, which is no server of Pillion", path, pid);
        pid = 0;
    }
    fclose(file);
    return pid;
}

/* `errors` of the configuration are shown when no server is found: they may be the reason. */
static int signal_by_pid(const struct command *command, const struct settings *settings,
                         const char *verb, bool quiet, const struct conf_errors *errors)
{
    struct error error;

    long pid = read_pid(settings->pid, &error);
    if (pid == 0) {
        printable_print(stderr, bytes_of(text_string(&errors->text)));
        return command_failed(command, EXIT_FAILURE,
                              "no server is running: nobody answers at %s, and %s",
                              settings->control, error.text);
    }
    if (kill((pid_t)pid, signal_by_verb(verb)->number) < 0)
        return command_failed_errno(command, EXIT_FAILURE, "cannot signal process %ld", pid);
    if (!quiet)
        printf("nobody answers at %s, so process %ld was sent a signal; the outcome is in its "
               "log\n",
               settings->control, pid);
    return command_flush(command, EXIT_SUCCESS);
}

int signal_send(const struct command *command, const struct serve_options *options,
                const char *verb, bool quiet)
{
    struct conf_errors errors = {0};
    struct settings *settings;
    struct text answer = {0};
    int status = EXIT_FAILURE;

    struct conf_tree *tree = read_paths(options, &settings, &errors);
    const char *conf = conf_tree_path(tree, options->conf);
    int fd = -2;
    /* Without -c, a server can be told to end even if its configuration is gone. With -c, a file
     * that does not exist cannot name a running server, and its defaults would reach another
     * one. */
    if (!options->conf_given || access(conf, R_OK) == 0) {
        fd = control_connect(command, settings->control);
    } else {
        command_failed_errno(command, EXIT_FAILURE, "cannot read %s", conf);
    }
    if (fd == -1)
        status = signal_by_pid(command, settings, verb, quiet, &errors);
    if (fd >= 0) {
        bool whole = ask(fd, verb, &answer);
        status = report(command, whole ? text_string(&answer) : "", quiet);
        close(fd);
    }
    text_free(&answer);
    conf_tree_free(tree);
    conf_errors_free(&errors);
    return status;
}

bool signal_reaches(const struct command *command, const struct serve_options *options)
{
    struct conf_errors errors = {0};
    struct settings *settings;

    struct conf_tree *tree = read_paths(options, &settings, &errors);
    int fd = control_connect(command, settings->control);
    if (fd >= 0)
        close(fd);
    conf_tree_free(tree);
    conf_errors_free(&errors);
    return fd >= 0;
}

bool signal_path(const struct serve_options *options, struct text *path, struct text *errors)
{
    struct conf_errors found = {0};
    struct settings *settings;

    struct conf_tree *tree = read_paths(options, &settings, &found);
    text_clear(path);
    text_append_string(path, settings->control);
    text_clear(errors);
    text_append_string(errors, text_string(&found.text));
    conf_tree_free(tree);
    conf_errors_free(&found);
    return errors->size == 0;
}

bool signal_ask(const struct command *command, const struct serve_options *options,
                const char *word, struct text *shown)
{
    struct text path = {0}, errors = {0};
    struct question question = {.fd = -1};
    struct error error;
    enum question_state state = QUESTION_OPEN;

    signal_path(options, &path, &errors);
    if (question_begin(&question, text_string(&path), word, &error)) {
        state = question_wait(&question);
    } else {
        printable_print(stderr, bytes_of(text_string(&errors)));
        command_failed(command, EXIT_FAILURE, "%s", error.text);
    }
    if (state == QUESTION_REFUSED)
        command_failed(command, EXIT_FAILURE,
                       "the server is of a version that does not show \"%s\"", word);
    else if (state == QUESTION_LOST)
        command_failed(command, EXIT_FAILURE, "the server went away before it answered");
    text_clear(shown);
    if (state == QUESTION_ANSWERED)
        text_append(shown, (struct bytes){question.answer.data, question.answer.size});
    question_end(&question);
    text_free(&path);
    text_free(&errors);
    return state == QUESTION_ANSWERED;
}
