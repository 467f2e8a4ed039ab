/* What every command of the command line shares: its row in the table, its options, its errors.
 *
 *     pillion NAME [options] operands
 *
 * A command is one file with one `struct command`; main.c lists them. Options are declared in a
 * table, which is also what `-h` prints. Options end at the first operand, so that an operand may
 * begin with a minus: `pillion call add -5`. */
#ifndef PILLION_CMD_COMMAND_H
#define PILLION_CMD_COMMAND_H

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
    const char *usage; /* what follows the name; several lines for several forms */
    const char *summary;
    const struct option_row *options; /* ended by id 0; -h and --help need no row */
    const char *notes;                /* what -h adds below, or NULL */
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
};

enum { ARGS_END = 0, ARGS_ERROR = -1, ARGS_HELP = -2 };

/* Reads one option: its id; ARGS_END where the operands begin; ARGS_HELP after -h, with the help
 * printed; ARGS_ERROR for one that is unknown or incomplete, with the message printed. */
int args_next(struct args *args);

/* The next operand, or NULL. */
const char *args_operand(struct args *args);

/* Prints "pillion NAME: message" and the usage to standard error. Returns EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int command_misused(const struct command *command,
                                                          const char *format, ...);

/* Prints "pillion NAME: message" to standard error and returns `status`. */
__attribute__((format(printf, 3, 4))) int command_failed(const struct command *command, int status,
                                                         const char *format, ...);

/* Writes out what standard output holds. `status`, or EXIT_FAILURE with a message when it could not
 * be written: a full disk must not look like success. */
int command_flush(const struct command *command, int status);

#endif
