/* Shared by all commands of the command line: the row in the table, options, error messages.
 *
 *     pillion NAME [options] operands
 *
 * A command is one file with one `struct command`; command_table.c lists them. Options are declared
 * in a table, which `-h` prints. They may stand before, between and after operands; an argument
 * that begins with a minus and a digit is an operand, as in `pillion call add -5`, and so are all
 * arguments behind "--". */
#ifndef PILLION_CMD_COMMAND_H
#define PILLION_CMD_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Exit statuses. Commands that have others say so in their own -h and in pillion(8). */
#define EXIT_USAGE 64 /* EX_USAGE of sysexits(3): the command line itself is wrong */

struct option_row {
    int id;               /* the letter; from 256 on, an option that has only a long name */
    const char *name;     /* the long name, or NULL */
    const char *argument; /* as -h shows it, or NULL when there is none */
    const char *summary;
};

struct command {
    const char *name; /* "call"; "" is the server */
    int (*run)(const struct command *self, int argc, char **argv);
    const char *usage; /* the text after the name; several lines for several forms */
    const char *summary;
    const struct option_row *options; /* ended by id 0; -h and --help need no row */
    const char *notes;                /* paragraphs that -h prints below, wrapped; or NULL */
};

/* An argument list that is being read. Starts as `{.command = …, .argc = …, .argv = …, .next = 1}`,
 * with the command's own name in argv[0]. */
struct args {
    const struct command *command;
    int argc;
    char **argv;
    int next;            /* index of the argument to read */
    const char *cluster; /* the letters left of "-tq", or NULL */
    const char *value;   /* of the option that was read */
    bool operands_only;  /* "--" was read */
};

enum { ARGS_END = 0, ARGS_ERROR = -1, ARGS_HELP = -2 };

/* Reads one option: its id; ARGS_END where the operands begin; ARGS_HELP after -h, with the help
 * printed; ARGS_ERROR for one that is unknown or incomplete, with the message printed. */
int args_next(struct args *args);

/* The next operand, or NULL. */
const char *args_operand(struct args *args);

/* Takes one option, whose value is in `args`. 0, or the exit status after saying what is wrong. */
typedef int args_option(struct args *args, int id, void *data);

/* Reads the whole command line: options go to `option`, and operands into `operands`, `most` at
 * most; missing operands become NULL. 0; ARGS_HELP; or the exit status after saying what is
 * wrong. */
int args_read(struct args *args, args_option *option, void *data, const char **operands,
              size_t most);

/* Prints "pillion NAME: message" and the usage to standard error. Returns EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int command_misused(const struct command *command,
                                                          const char *format, ...);

/* Prints "pillion NAME: message" to standard error and returns `status`. */
__attribute__((format(printf, 3, 4))) int command_failed(const struct command *command, int status,
                                                         const char *format, ...);

/* The same, with ": " and the words for `errno` behind the message, as error_errno has them. */
__attribute__((format(printf, 3, 4))) int command_failed_errno(const struct command *command,
                                                               int status, const char *format, ...);

/* Prints a line of a help's table, in several lines where it is long. */
void command_print_row(FILE *to, const char *left, const char *right);

/* Flushes standard output. Returns `status`, or EXIT_FAILURE with a message when that failed: a
 * full disk must not look like success. */
int command_flush(const struct command *command, int status);

#endif
