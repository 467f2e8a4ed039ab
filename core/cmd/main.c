/* main(), and nothing else: a word that is no option names a command, and
 * without one it is the server. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/suggest.h"
#include "cmd/commands.h"
#include "process/signals.h"

/* A slip must not lead to the end of a server: `pillion top` is not meant to be `pillion -s stop`.
 */
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

/* `pillion -h` ends with what else there is. */
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

/* A starter may have closed some of the first three. What is opened next would get their numbers:
 * the server's log, say, or a socket, to which some library then prints its complaints. */
static void fill_standard_descriptors(void)
{
    int fd = STDIN_FILENO;

    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDWR);
    if (fd > STDERR_FILENO)
        close(fd);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    /* Some starters ignore it, and what ignores it hears of no child's end (waitpid(2)). */
    signal(SIGCHLD, SIG_DFL);
    if (argc < 2 || argv[1][0] == '-')
        return serve_or_help(argc, argv);
    const struct command *command = command_find(argv[1]);
    return command == NULL ? unknown(argv[1]) : command->run(command, argc - 1, argv + 1);
}
