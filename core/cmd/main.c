/* main(): a first argument that is no option names a command; otherwise `pillion` is the server
 * (server.c). */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/suggest.h"
#include "cmd/command_table.h"
#include "cmd/commands.h"
#include "process/signals.h"

/* True when the verb may be suggested for `word`. A typing error must not end a server: `pillion
 * stp` does not suggest `pillion -s stop`. */
static bool may_be_meant(const struct signal_row *row, const char *word)
{
    bool ends = row->order == ORDER_STOP || row->order == ORDER_QUIT;

    return !ends || strcmp(row->verb, word) == 0;
}

static int unknown(const char *word)
{
    struct suggest suggest = suggest_start(word);
    const char *option = "";

    for (const struct command *const *c = all_commands; *c != NULL; c++)
        suggest_offer(&suggest, (*c)->name);
    const char *nearest = suggest.nearest;
    for (const struct signal_row *row = signal_table; row->number != 0; row++) {
        if (may_be_meant(row, word))
            suggest_offer(&suggest, row->verb);
    }
    if (suggest.nearest != nearest)
        option = "-s ";
    if (suggest.nearest != NULL)
        return command_misused(&server_command,
                               "there is no command \"%s\"; did you mean \"pillion %s%s\"?", word,
                               option, suggest.nearest);
    return command_misused(&server_command, "there is no command \"%s\"", word);
}

static void print_command(const struct command *command)
{
    struct text words = {0};

    text_printf(&words, "pillion %s", command->name);
    command_print_row(stdout, text_string(&words), command->summary);
    text_free(&words);
}

/* `pillion -h` also lists the commands. */
static int serve_or_help(int argc, char **argv)
{
    int status = server_command.run(&server_command, argc, argv);

    if (status != ARGS_HELP)
        return status;
    printf("\nCommands, each with its own -h:\n");
    for (const struct command *const *c = all_commands; *c != NULL; c++)
        print_command(*c);
    return command_flush(&server_command, 0);
}

/* The process that starts this one may have closed descriptors 0, 1 or 2. The next file to be
 * opened would get that number, a socket say, and a library that complains would write into it.
 * Input and output that are closed stay of no use, so that a result that nobody gets is an error.
 */
static void fill_standard_descriptors(void)
{
    static const int modes[] = {
        [STDIN_FILENO] = O_WRONLY, [STDOUT_FILENO] = O_RDONLY, [STDERR_FILENO] = O_RDWR};

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd)
            return;
    }
}

/* Of shells and of the build: people need not know of them. */
static const struct command *find_hidden(const char *name)
{
    static const struct command *const hidden[] = {&complete_command, &manual_command};

    for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++) {
        if (strcmp(hidden[i]->name, name) == 0)
            return hidden[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    /* A parent may have left SIGCHLD ignored, and a process that ignores it cannot wait for its
     * children (waitpid(2)). */
    signal(SIGCHLD, SIG_DFL);
    if (argc < 2 || argv[1][0] == '-')
        return serve_or_help(argc, argv);
    const struct command *command = command_find(argv[1]);
    if (command == NULL)
        command = find_hidden(argv[1]);
    return command == NULL ? unknown(argv[1]) : command->run(command, argc - 1, argv + 1);
}
