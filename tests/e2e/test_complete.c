/* Completion of command lines: what the binary offers for a line, and what two shells make of it,
 * typed in a terminal. */
#include "harness.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASH_BREAKS " \t\n\"'><=;|&(:" /* as conf/completion/pillion.bash gives them */

/* A server with methods whose params have names and words, and one that no shell may see: a method
 * is called what its configuration says. Returns its address. */
static const char *serve(void)
{
    struct server *server = server_new();

    server_write(server, "conf/pillion.conf",
                 "worker_processes 1; load_module modules/ping.so; load_module modules/rpc.so;\n"
                 "load_module modules/gives.so;\n"
                 "server { listen 127.0.0.1:%d; method ping; method rpc.list;\n"
                 "method rpc.describe; method ticket; method 'pi$(touch /tmp/x)' "
                 "{ handler ping.ping; } method 'pi ng' { handler ping.ping; } }",
                 server->port);
    server_start(server);
    return keep_printf("127.0.0.1:%d", server->port);
}

static const char *offered(const char *shell, const char *line)
{
    const char *const argv[] = {pillion_binary(),
                                "complete",
                                shell,
                                line,
                                strcmp(shell, "bash") == 0 ? BASH_BREAKS : NULL,
                                NULL};
    struct run run = run_command(argv, NULL, PATIENCE_MS);

    expect_status(&run, 0);
    expect_text(run.err, "");
    return run.out;
}

/* What is offered, each word up to its tab, with one bar between them: "call |list |". */
static const char *words_of(const char *shell, const char *line)
{
    struct buffer words = {0};
    const char *answer = offered(shell, line);

    for (const char *at = answer; *at != '\0'; at += strcspn(at, "\n"), at += *at == '\n') {
        if (at == answer)
            continue;
        buffer_add(&words, at, strcspn(at, "\t\n"));
        buffer_add(&words, "|", 1);
    }
    buffer_add(&words, "", 1);
    return keep(words.data);
}

/* A second may be too short for a machine under load, so what is offered may come later. */
static void expect_words(const char *shell, const char *line, const char *words)
{
    const char *last = "";

    wait_until(strcmp(last = words_of(shell, line), words) == 0, "\"%s\" is completed by \"%s\"",
               line, last);
}

static void expect_answer(const char *shell, const char *line, const char *answer)
{
    const char *last = "";

    wait_until(strcmp(last = offered(shell, line), answer) == 0, "\"%s\" is completed by \"%s\"",
               line, last);
}

START_TEST(commands_options_and_words_come_from_the_tables)
{
    static const struct {
        const char *line, *words;
    } rows[] = {
        {"pillion ca", "call |"},
        {"pillion --pre", "--prefix |"},
        {"/usr/sbin/pillion -p /x -s re", "reload |reopen |"},
        {"pillion --signal=st", "--signal=stop |"},
        {"pillion call --proto", "--protocol |"},
        {"pillion call --protocol l", "line |lsp |"},
        {"pillion call --protocol=h", "--protocol=http |"},
        {"pillion call -- --proto", ""},
        {"pillion bench -c 3 --rat", "--rate |"},
        {"pillion stat", "status |"},
        {"pillion status --j", "--json |"},
        {"pillion complet", ""},
        {"pillion nothing ", ""},
        {"pillion 'ca", ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        expect_words("zsh", rows[i].line, rows[i].words);
    }
    expect_answer("zsh", "pillion ca", "words\ncall \tCalls a method and prints its result.\n");
}
END_TEST

START_TEST(files_and_directories_are_left_to_the_shell)
{
    static const struct {
        const char *shell, *line, *answer;
    } rows[] = {
        {"zsh", "pillion -c x", "files\t*\t\n"},
        {"zsh", "pillion --conf=x", "files\t*\t--conf=\n"},
        {"bash", "pillion --conf=x", "files\t*\t\n"},
        {"zsh", "pillion modinfo x", "files\t*.so\t\n"},
        {"zsh", "pillion dev ", "directories\t*\t\n"},
        {"zsh", "pillion new name ", "directories\t*\t\n"},
        {"zsh", "pillion call ping @x", "files\t*\t@\n"},
        {"bash", "pillion call ping @x", "files\t*\t@\n"},
        {"zsh", "pillion call --server unix:x", "files\t*\tunix:\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        expect_answer(rows[i].shell, rows[i].line, rows[i].answer);
}
END_TEST

START_TEST(methods_and_params_come_from_the_server_that_would_be_called)
{
    const char *address = serve(), *call = keep_printf("pillion call --server %s", address);

    /* Names that would mean something else in a shell are left out. */
    expect_words("zsh", keep_printf("%s p", call), "ping |");
    expect_words("zsh", keep_printf("PILLION_SERVER=%s pillion call t", address), "ticket |");
    expect_words("zsh", keep_printf("pillion describe --server=%s rpc.d", address),
                 "rpc.describe |");
    expect_words("zsh", keep_printf("%s --jsonrpc --protocol http ping", call), "ping |");
    expect_words("zsh", keep_printf("pillion bench --http http://%s/ ping", address), "ping |");

    expect_words("zsh", keep_printf("%s ticket na", call), "name=|");
    expect_words("zsh", keep_printf("%s ticket name=x na", call), "");
    expect_words("zsh", keep_printf("%s ticket seats=1 s", call), "seats=|"); /* a list */
    expect_words("zsh", keep_printf("%s ticket mood=", call), "mood=calm |mood=cheerful |");
    expect_words("bash", keep_printf("%s ticket mood=ca", call), "calm |");
    expect_words("zsh", keep_printf("%s none na", call), "");
    expect_words("zsh", keep_printf("%s --members '{\"x\"' ping", call), "");
}
END_TEST

START_TEST(a_module_s_file_tells_what_try_may_call)
{
    const char *file = module_path("gives");

    expect_words("zsh", keep_printf("pillion try %s ticket", file), "ticket |tickets |");
    expect_words("zsh", keep_printf("pillion try %s ticket mood=ch", file), "mood=cheerful |");
    file = module_path("typed");
    expect_words("zsh", keep_printf("pillion try %s order it", file), "items:=|");
    file = module_path("visits");
    expect_words("zsh", keep_printf("pillion try %s set crashes=", file),
                 "crashes=true |crashes=false |");
    expect_words("zsh", "pillion try none.so t", "");
}
END_TEST

/* Neither a server that says nothing nor one that is not there holds a shell up. */
START_TEST(a_silent_server_ends_no_patience)
{
    char *address;
    int listener = listen_anywhere(&address);
    const char *const argv[] = {pillion_binary(), "complete", "bash",
                                keep_printf("pillion call --server %s p", address), NULL};

    struct run run = run_command(argv, NULL, PATIENCE_MS);
    expect_status(&run, 0);
    expect_text(run.err, "");
    close(listener);
    run = run_command(argv, NULL, PATIENCE_MS);
    expect_status(&run, 0);
    ck_assert_ptr_null(strchr(run.out, '\t'));
}
END_TEST

/* ---- Shells ---- */

static char *completion_file(const char *name)
{
    char *path =
        realpath(keep_printf("%s/../conf/completion/%s", getenv("PILLION_BUILD"), name), NULL);

    return path != NULL ? keep(path)
                        : keep_printf("%s/../../conf/completion/%s", getenv("PILLION_BUILD"), name);
}

/* A shell in a terminal. */
struct shell {
    pid_t pid;
    int terminal;
    struct buffer shown;
};

static struct shell shell_start(const char *const argv[])
{
    struct shell shell = {0};
    char *folder = strdup(pillion_binary());

    *strrchr(folder, '/') = '\0';
    shell.pid = forkpty(&shell.terminal, NULL, NULL, NULL);
    ck_assert_int_ge(shell.pid, 0);
    if (shell.pid == 0) {
        setenv("PATH", keep_printf("%s:%s", folder, getenv("PATH")), 1);
        setenv("TERM", "dumb", 1);
        setenv("HISTFILE", "/dev/null", 1);
        setenv("INPUTRC", "/dev/null", 1);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    free(folder);
    return shell;
}

static void shell_type(struct shell *shell, const char *text)
{
    ck_assert_int_eq(write(shell->terminal, text, strlen(text)), (ssize_t)strlen(text));
}

/* Waits until the shell has shown a line that begins with `start` and ends with `end`, which is
 * returned. */
static const char *shell_expect(struct shell *shell, const char *start, const char *end)
{
    int64_t until = deadline_in(PATIENCE_MS);
    char piece[4096];

    for (;;) {
        buffer_add(&shell->shown, "", 1);
        shell->shown.size--;
        const char *from = strstr(shell->shown.data, start);
        const char *to = from == NULL ? NULL : strstr(from + strlen(start), end);
        if (to != NULL) {
            shell->shown.size = 0;
            return keep_printf("%.*s", (int)(to + strlen(end) - from - 1), from + 1);
        }
        struct pollfd ready = {.fd = shell->terminal, .events = POLLIN};
        int some = poll(&ready, 1, 100);
        ssize_t size = some > 0 ? read(shell->terminal, piece, sizeof(piece)) : 0;
        if (size < 0 || (some > 0 && size == 0) || deadline_over(until))
            fail_test("the shell has not shown \"%s\", but: %s", start + 1, shell->shown.data);
        buffer_add(&shell->shown, piece, (size_t)size);
    }
}

static void shell_end(struct shell *shell)
{
    kill(shell->pid, SIGKILL);
    waitpid(shell->pid, NULL, 0);
    close(shell->terminal);
    free(shell->shown.data);
}

/* Types the line, and has the shell print what has become of it. */
static void expect_completed(struct shell *shell, const char *line, const char *becomes)
{
    const char *whole = keep_printf("=: %s :=", becomes), *last = "";
    int64_t until = deadline_in(PATIENCE_MS);

    do {
        shell_type(shell, line);
        shell_type(shell, "\001echo '=:' \005 :=\n"); /* in front of it, and behind it */
        last = shell_expect(shell, "\n=:", ":=");
        if (deadline_over(until))
            fail_test("\"%s\" has become \"%s\"", line, last);
    } while (strcmp(last, whole) != 0);
}

static void complete_in(struct shell *shell, const char *address)
{
    const char *call = keep_printf("pillion call --server %s", address);
    struct server *files = server_new();
    const char *folder = files->prefix;

    server_write(files, "one.so", "a module");
    server_write(files, "one.txt", "none");
    expect_completed(shell, "pillion stat\t--js\t", "pillion status --json");
    expect_completed(shell, keep_printf("%s pin\t", call), keep_printf("%s ping", call));
    expect_completed(shell, keep_printf("%s tic\tna\tAda mood=ch\tx", call),
                     keep_printf("%s ticket name=Ada mood=cheerful x", call));
    expect_completed(shell, keep_printf("%s ticket mo\tca\tx", call),
                     keep_printf("%s ticket mood=calm x", call));
    expect_completed(shell, "pillion -s upg\t", "pillion -s upgrade");
    expect_completed(shell, keep_printf("pillion modinfo %s/on\t", folder),
                     keep_printf("pillion modinfo %s/one.so", folder));
    expect_completed(shell, "pillion -c /etc/passw\t", "pillion -c /etc/passwd");
    expect_completed(shell, "pillion call ping @/etc/passw\t", "pillion call ping @/etc/passwd");
    expect_completed(shell, "pillion dev /et\tx", "pillion dev /etc/x");
}

static void complete_in_bash(const char *set_up)
{
    const char *address = serve();
    struct shell shell = shell_start((const char *const[]){"bash", "--norc", "--noprofile", NULL});

    shell_type(&shell, keep_printf("PS1='> '; %s; echo rea''dy\n", set_up));
    shell_expect(&shell, "\nready", "");
    complete_in(&shell, address);
    shell_end(&shell);
}

START_TEST(bash_completes)
{
    if (terminals_exist() && command_exists("bash"))
        complete_in_bash(keep_printf("source %s", completion_file("pillion.bash")));
}
END_TEST

/* bash-completion loads a command's file when it is first completed. */
START_TEST(bash_completes_with_bash_completion)
{
    const char *loader = "/usr/share/bash-completion/bash_completion";
    struct server *files = server_new();
    const char *folder = server_path(files, "share/bash-completion/completions");

    if (access(loader, R_OK) != 0) {
        fprintf(stderr, "left out: there is no bash-completion here\n");
        return;
    }
    if (!terminals_exist())
        return;
    for (const char *slash = strchr(folder + strlen(files->prefix) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/'))
        mkdir(keep_printf("%.*s", (int)(slash - folder), folder), 0755);
    mkdir(folder, 0755);
    file_copy(completion_file("pillion.bash"), keep_printf("%s/pillion", folder));
    complete_in_bash(
        keep_printf("export XDG_DATA_HOME=%s; source %s", server_path(files, "share"), loader));
}
END_TEST

START_TEST(zsh_completes)
{
    char *file = completion_file("_pillion");

    if (!terminals_exist() || !command_exists("zsh"))
        return;
    const char *address = serve();
    struct shell shell = shell_start((const char *const[]){"zsh", "-f", NULL});
    shell_type(&shell, keep_printf("PS1='> '; unsetopt prompt_sp prompt_cr; bindkey -e; "
                                   "fpath=(%.*s $fpath); autoload -Uz compinit; compinit -u -D; "
                                   "echo rea''dy\n",
                                   (int)(strrchr(file, '/') - file), file));
    shell_expect(&shell, "\nready", "");
    complete_in(&shell, address);
    shell_end(&shell);
}
END_TEST

E2E_MAIN("complete", commands_options_and_words_come_from_the_tables,
         files_and_directories_are_left_to_the_shell,
         methods_and_params_come_from_the_server_that_would_be_called,
         a_module_s_file_tells_what_try_may_call, a_silent_server_ends_no_patience, bash_completes,
         bash_completes_with_bash_completion, zsh_completes)
