/* `pillion top` in a pseudoterminal (pts(4)), with a process that stands for the shell, and without
 * one. */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* ---- A terminal with a program in it ---- */

#define FRAME "\033[H"
#define LEFT  "\033[?1049l"

struct terminal {
    int fd;        /* the master's side, non-blocking */
    int other;     /* the program's side, so that there is one for as long as the test looks */
    pid_t shell;   /* leads the session, and waits for the program */
    pid_t program; /* has a process group of its own, in the foreground */
    struct termios before;
    struct buffer seen;
};

static void resize(const struct terminal *terminal, unsigned short columns, unsigned short rows)
{
    const struct winsize size = {.ws_col = columns, .ws_row = rows};

    ck_assert_int_eq(ioctl(terminal->fd, TIOCSWINSZ, &size), 0);
}

/* In the child: leads a session on the terminal `name`, and runs the program there. Never
 * returns. */
static void be_shell(const char *name, int master, const char *const argv[])
{
    int status;

    close(master); /* so that the terminal hangs up when the test ends */
    setsid();
    int fd = open(name, O_RDWR | O_CLOEXEC); /* becomes the session's terminal (tty(4)) */
    signal(SIGTTOU, SIG_IGN);
    pid_t program = fork();
    if (program == 0) {
        setpgid(0, 0);
        tcsetpgrp(fd, getpid());
        signal(SIGTTOU, SIG_DFL);
        dup2(fd, STDIN_FILENO);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    waitpid(program, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* Runs `pillion top` with that interval. */
static struct terminal terminal_with(const struct server *server, const char *interval)
{
    struct terminal terminal = {.fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)};
    const char *const argv[] = {pillion_binary(), "top", "-p", server->prefix, "-d",
                                interval,         NULL};

    ck_assert_int_ge(terminal.fd, 0);
    ck_assert(grantpt(terminal.fd) == 0 && unlockpt(terminal.fd) == 0);
    const char *name = keep_printf("%s", ptsname(terminal.fd));
    terminal.other = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(terminal.other, 0);
    ck_assert_int_eq(tcgetattr(terminal.other, &terminal.before), 0);
    resize(&terminal, 80, 24);
    setenv("TERM", "xterm", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    terminal.shell = fork();
    if (terminal.shell == 0)
        be_shell(name, terminal.fd, argv);
    wait_until(children_of(terminal.shell, &terminal.program, 1) == 1, "the program is not there");
    return terminal;
}

static void look(struct terminal *terminal)
{
    char data[65536];
    ssize_t size;

    while ((size = read(terminal->fd, data, sizeof(data))) > 0)
        buffer_add(&terminal->seen, data, (size_t)size);
}

/* The last frame that is there as a whole: a string, without what only sets colours, and
 * without spaces at the ends of lines. */
static const char *frame(struct terminal *terminal)
{
    static char shown[65536];
    size_t size = 0;

    look(terminal);
    buffer_add(&terminal->seen, "", 1);
    terminal->seen.size--;
    const char *start = NULL;
    for (const char *at = terminal->seen.data; (at = strstr(at, FRAME)) != NULL; at++) {
        if (strstr(at, "\033[J") != NULL)
            start = at;
    }
    for (const char *at = start; at != NULL && *at != '\0' && size < sizeof(shown) - 1; at++) {
        if (strncmp(at, "\033[J", 3) == 0)
            break;
        if (*at == '\033')
            at += strcspn(at, "mHKJ");
        else if (*at != '\r')
            shown[size++] = *at;
        while (*at == '\n' && size > 1 && shown[size - 2] == ' ') /* titles are filled up */
            shown[--size - 1] = '\n';
    }
    shown[size] = '\0';
    return shown;
}

static void wait_shown(struct terminal *terminal, const char *part)
{
    wait_until(strstr(frame(terminal), part) != NULL, "\"%s\" is not shown, but\n%s", part,
               frame(terminal));
}

static void wait_not_shown(struct terminal *terminal, const char *part)
{
    wait_until(frame(terminal)[0] != '\0' && strstr(frame(terminal), part) == NULL,
               "\"%s\" is shown:\n%s", part, frame(terminal));
}

static void type(const struct terminal *terminal, const char *keys)
{
    ck_assert_int_eq(write(terminal->fd, keys, strlen(keys)), (ssize_t)strlen(keys));
}

static bool is_as_before(const struct terminal *terminal)
{
    struct termios now;
    const struct termios *before = &terminal->before;

    ck_assert_int_eq(tcgetattr(terminal->other, &now), 0);
    return now.c_iflag == before->c_iflag && now.c_oflag == before->c_oflag &&
           now.c_cflag == before->c_cflag && now.c_lflag == before->c_lflag &&
           memcmp(now.c_cc, before->c_cc, sizeof(now.c_cc)) == 0;
}

/* Waits for the program's end. The terminal is as before then, and the last thing that it was told
 * is to leave the other screen. Returns the exit status, as a shell has it. */
static int ended(struct terminal *terminal)
{
    int status;

    wait_until((look(terminal), waitpid(terminal->shell, &status, WNOHANG)) == terminal->shell,
               "it does not end:\n%s", frame(terminal));
    ck_assert(is_as_before(terminal));
    look(terminal);
    buffer_add(&terminal->seen, "", 1);
    const char *last = NULL;
    for (const char *at = terminal->seen.data; (at = strstr(at, LEFT)) != NULL; at++)
        last = at;
    ck_assert_ptr_nonnull(last);
    ck_assert_ptr_null(strstr(last, FRAME));
    ck_assert_ptr_nonnull(strstr(terminal->seen.data, "\033[?1049h"));
    free(terminal->seen.data);
    close(terminal->fd);
    close(terminal->other);
    return WEXITSTATUS(status);
}

/* ---- On a screen ---- */

/* The number in the second column of the row of `name`; -1 without such a row. */
static double rate_of(struct terminal *terminal, const char *name)
{
    const char *row = strstr(frame(terminal), keep_printf("\n%s ", name));
    return row == NULL ? -1 : atof(row + strlen(name) + 1);
}

START_TEST(it_shows_what_happens)
{
    if (!terminals_exist())
        return;
    struct server *server = server_serve("quarantine_crashes 1; load_module modules/crash.so;",
                                         "method ping; method kill;");
    struct terminal terminal = terminal_with(server, "0.2");
    int client = client_connect(server);

    server->reports_allowed = true;
    wait_shown(&terminal, "generation 1, up ");
    wait_shown(&terminal, "\nWORKER ");
    wait_shown(&terminal, "  serving ");
    wait_until((client_call(client, "ping", "1"), rate_of(&terminal, "ping")) > 0,
               "the calls are not shown:\n%s", frame(&terminal));
    wait_shown(&terminal, "█"); /* a sparkline's top */
    client_call(client, "kill", "1");
    wait_shown(&terminal, "  quarantined");
    wait_shown(&terminal, "; 1 crashes, 0 hangs");
    server_reload(server);
    wait_shown(&terminal, "generation 2, up ");
    wait_not_shown(&terminal, "quarantined");
    type(&terminal, "q");
    ck_assert_int_eq(ended(&terminal), 0);
}
END_TEST

START_TEST(keys_choose_what_is_shown)
{
    if (!terminals_exist())
        return;
    struct server *server = server_serve("", "method ping;");
    struct terminal terminal = terminal_with(server, "0.2");

    wait_shown(&terminal, "\nping ");
    type(&terminal, "?");
    wait_shown(&terminal, "any key leads back");
    type(&terminal, "x");
    wait_shown(&terminal, "  by CALLS/S");
    type(&terminal, "<");
    wait_shown(&terminal, "*METHOD");
    type(&terminal, ">");
    type(&terminal, ">");
    wait_shown(&terminal, "  by ERR/S");
    type(&terminal, "\033[D"); /* the arrow to the left */
    wait_shown(&terminal, "  by CALLS/S");
    type(&terminal, "/STATSX\177");
    wait_shown(&terminal, "methods that hold: STATS_");
    wait_not_shown(&terminal, "\nping ");
    wait_shown(&terminal, "\nrpc.stats ");
    type(&terminal, "\r");
    wait_shown(&terminal, "  /STATS");
    type(&terminal, "/X\033"); /* a lone ESC: as it was */
    wait_shown(&terminal, "  /STATS");
    wait_shown(&terminal, "\nrpc.stats ");
    type(&terminal, "11");
    wait_not_shown(&terminal, "WORKER");
    type(&terminal, "1");
    wait_shown(&terminal, "WORKER");
    type(&terminal, "d0.01\r");
    wait_shown(&terminal, "from 0.1 (now 0.2): 0.01_");
    type(&terminal, "\177\177"
                    "3\r");
    wait_shown(&terminal, "  every 0.3 s");
    type(&terminal, "p");
    wait_shown(&terminal, "PAUSED");
    type(&terminal, "p");
    wait_not_shown(&terminal, "PAUSED");
    type(&terminal, "q");
    ck_assert_int_eq(ended(&terminal), 0);
}
END_TEST

static unsigned widest(const char *text)
{
    unsigned most = 0, columns = 0;

    for (; *text != '\0'; text++) {
        columns = *text == '\n' ? 0 : columns + (((unsigned char)*text & 0xc0) != 0x80);
        most = columns > most ? columns : most;
    }
    return most;
}

START_TEST(it_is_as_large_as_the_terminal)
{
    if (!terminals_exist())
        return;
    struct server *server = server_serve("", "method ping;");
    struct terminal terminal = terminal_with(server, "60"); /* it waits for nothing but the size */

    wait_shown(&terminal, "  UNDER  STATE");
    ck_assert_uint_le(widest(frame(&terminal)), 80);
    resize(&terminal, 40, 10);
    wait_not_shown(&terminal, "UNDER");
    ck_assert_uint_le(widest(frame(&terminal)), 40);
    wait_not_shown(&terminal, "WORKER");
    resize(&terminal, 200, 50);
    wait_shown(&terminal, "  ERRORS A SECOND, BY CODE");
    ck_assert_uint_le(widest(frame(&terminal)), 200);
    type(&terminal, "q");
    ck_assert_int_eq(ended(&terminal), 0);
}
END_TEST

/* By the keys that a terminal makes signals of, and by others. */
START_TEST(signals_end_it_with_the_terminal_as_before)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

    if (!terminals_exist())
        return;
    struct server *server = server_serve("", "method ping;");
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
        struct terminal terminal = terminal_with(server, "0.2");
        wait_shown(&terminal, "\nping ");
        ck_assert(!is_as_before(&terminal));
        kill(terminal.program, signals[i]);
        ck_assert_int_eq(ended(&terminal), 0);
    }
    struct terminal terminal = terminal_with(server, "0.2");
    wait_shown(&terminal, "\nping ");
    type(&terminal, "\003");
    ck_assert_int_eq(ended(&terminal), 0);
    terminal = terminal_with(server, "0.2");
    wait_shown(&terminal, "\nping ");
    kill(terminal.program, SIGSEGV);
    ck_assert_int_eq(ended(&terminal), 128 + SIGSEGV);
}
END_TEST

/* The letter of proc(5). */
static char state_of(pid_t pid)
{
    const char *stat = file_read(keep_printf("/proc/%d/stat", (int)pid), NULL);
    return strrchr(stat, ')')[2];
}

static void wait_stopped(struct terminal *terminal)
{
    wait_until((look(terminal), state_of(terminal->program)) == 'T', "it does not stop");
}

START_TEST(while_it_is_stopped_the_terminal_is_as_before)
{
    if (!terminals_exist())
        return;
    struct server *server = server_serve("", "method ping;");
    struct terminal terminal = terminal_with(server, "0.2");

    wait_shown(&terminal, "\nping ");
    for (int i = 0; i < 3; i++) {
        if (i % 2 == 0)
            type(&terminal, "\032");
        else
            kill(terminal.program, SIGTSTP);
        wait_stopped(&terminal);
        ck_assert(is_as_before(&terminal));
        look(&terminal);
        terminal.seen.size = 0;
        kill(terminal.program, SIGCONT);
        wait_shown(&terminal, "\nping ");
        ck_assert(!is_as_before(&terminal));
    }
    /* By a signal that it does not see: what it shows is there again afterwards. */
    kill(terminal.program, SIGSTOP);
    wait_stopped(&terminal);
    tcsetattr(terminal.other, TCSANOW, &terminal.before); /* as shells do */
    look(&terminal);
    terminal.seen.size = 0;
    kill(terminal.program, SIGCONT);
    wait_until(!is_as_before(&terminal), "it does not take the terminal again");
    wait_shown(&terminal, "\nping ");
    type(&terminal, "q");
    ck_assert_int_eq(ended(&terminal), 0);
}
END_TEST

START_TEST(a_server_that_is_away_is_waited_for)
{
    if (!terminals_exist())
        return;
    struct server *server = server_serve("", "method ping;");
    struct terminal terminal = terminal_with(server, "0.2");

    wait_shown(&terminal, "\nping ");
    server_order(server, "stop");
    wait_shown(&terminal, "AWAY: no server is running: nobody answers at ");
    wait_shown(&terminal, "\nping "); /* what was known last */
    ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    server_start(server);
    wait_not_shown(&terminal, "AWAY");
    server_order(server, "upgrade");
    wait_shown(&terminal, "generation 2, up ");
    kill(server->pid, SIGKILL);
    wait_shown(&terminal, "AWAY");
    type(&terminal, "q");
    ck_assert_int_eq(ended(&terminal), 0);
}
END_TEST

START_TEST(five_hundred_methods_are_scrolled)
{
    if (!terminals_exist())
        return;
    struct server *server = server_new();
    struct buffer methods = {0};

    for (int i = 0; i < 500; i++) {
        const char *line = keep_printf("method mm%03d { handler ping.ping; }\n", i);
        buffer_add(&methods, line, strlen(line));
    }
    buffer_add(&methods, "", 1);
    server_conf(server, "", methods.data);
    free(methods.data);
    server_start(server);
    struct terminal terminal = terminal_with(server, "0.2");
    type(&terminal, "/mm\r<");
    wait_shown(&terminal, "STATE\nmm000 ");
    wait_shown(&terminal, "methods 1-14 of 500");
    type(&terminal, "\033[6~"); /* Page Down */
    wait_shown(&terminal, "STATE\nmm014 ");
    type(&terminal, "\033[B");
    wait_shown(&terminal, "STATE\nmm015 ");
    type(&terminal, "\033[F"); /* End */
    wait_shown(&terminal, "\nmm499 ");
    type(&terminal, "\033[A\033[5~");
    wait_shown(&terminal, "methods 472-485 of 500");
    type(&terminal, "q");
    ck_assert_int_eq(ended(&terminal), 0);
}
END_TEST

/* ---- Without one ---- */

START_TEST(without_a_terminal_it_prints_one_frame)
{
    struct server *server = server_serve("", "method ping;");
    struct run run = pillion("top", "-p", server->prefix, "-d", "0.2");

    expect_status(&run, 0);
    expect_part(run.out, "generation 1, up ");
    expect_part(run.out, "\nWORKER ");
    expect_part(run.out, "\nping                ");
    ck_assert_ptr_null(strchr(run.out, '\033'));
    ck_assert_uint_le(widest(run.out), 80);
    run = pillion("top", "-p", server->prefix, "-d", "0.2", "--json");
    expect_status(&run, 0);
    cJSON *top = cJSON_Parse(run.out);
    ck_assert_double_ge(cJSON_GetObjectItem(top, "interval_seconds")->valuedouble, 0.2);
    ck_assert_ptr_nonnull(cJSON_GetObjectItem(cJSON_GetObjectItem(top, "methods"), "ping"));
    cJSON_Delete(top);
    run = pillion("top", "-p", server->prefix, "-d", "0");
    expect_status(&run, 64);
    expect_part(run.err, "-d takes seconds from 0.1 to 3600");
    run = server_ask(server, "stop");
    run = pillion("top", "-p", server->prefix, "--once");
    expect_status(&run, 1);
    expect_part(run.err, "pillion top: no server is running: nobody answers at ");
}
END_TEST

E2E_MAIN("top", it_shows_what_happens, keys_choose_what_is_shown, it_is_as_large_as_the_terminal,
         signals_end_it_with_the_terminal_as_before, while_it_is_stopped_the_terminal_is_as_before,
         a_server_that_is_away_is_waited_for, five_hundred_methods_are_scrolled,
         without_a_terminal_it_prints_one_frame)
