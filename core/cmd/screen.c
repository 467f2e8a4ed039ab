/* The terminal as a screen. See screen.h. Sequences are those of ECMA-48 and, for the alternate
 * screen, xterm's, which every terminal of today knows. */
#include "cmd/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"

#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[0m\033[?25h\033[?1049l"

#define PIECE       256u /* bytes: a terminal that is writable takes so many (tty_poll in Linux) */
#define PATIENCE_MS 1000

#define COLUMNS_MOST 1000
#define ROWS_MOST    1000
#define LONE_NS      (50 * NS_PER_MS) /* that an ESC is alone */

static struct {
    struct termios before;
    volatile sig_atomic_t open;
    bool arranged; /* for exit and signals */
    char typed[256];
    size_t typed_size;
    uint64_t typed_ns; /* when the last of it came */
    bool ended;
} screen;

bool screen_is_possible(void)
{
    const char *terminal = getenv("TERM");

    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && terminal != NULL &&
           terminal[0] != '\0' && strcmp(terminal, "dumb") != 0;
}

/* Writes all of it, unless the terminal takes nothing for a second, because its output was stopped,
 * say: signals and keys must be heard all the same. A write that is no longer than what poll(2)
 * has found room for does not wait. Safe in a signal handler. */
static bool put(const char *data, size_t size)
{
    struct pollfd writable = {.fd = STDOUT_FILENO, .events = POLLOUT};

    while (size > 0) {
        if (poll(&writable, 1, PATIENCE_MS) <= 0 || (writable.revents & POLLOUT) == 0)
            return false;
        ssize_t written = write(STDOUT_FILENO, data, size < PIECE ? size : PIECE);
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        data += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

/* ---- Opening and closing ---- */

/* Safe in a signal handler. */
static void restore(void)
{
    if (!screen.open)
        return;
    screen.open = 0;
    put(LEAVE, strlen(LEAVE));
    tcsetattr(STDOUT_FILENO, TCSANOW, &screen.before);
}

/* The signal's own action follows: the handler is gone (SA_RESETHAND). */
static void restore_and_die(int number)
{
    restore();
    raise(number);
}

static void arrange(void)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
    struct sigaction action = {.sa_handler = restore_and_die, .sa_flags = (int)SA_RESETHAND};

    if (screen.arranged)
        return;
    screen.arranged = true;
    atexit(restore);
    for (size_t i = 0; i < sizeof(deadly) / sizeof(*deadly); i++)
        sigaction(deadly[i], &action, NULL);
}

bool screen_open(struct error *error)
{
    struct termios raw;

    arrange();
    if (tcgetattr(STDOUT_FILENO, &screen.before) < 0)
        return error_errno(error, "cannot read the terminal's modes");
    raw = screen.before;
    /* ISIG stays: keys that interrupt and stop do so also while the process is busy. */
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
    raw.c_iflag &= ~(tcflag_t)(ICRNL | INLCR);
    raw.c_oflag &= ~(tcflag_t)OPOST;
    raw.c_cc[VMIN] = 0; /* read(2) never waits */
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDOUT_FILENO, TCSANOW, &raw) < 0)
        return error_errno(error, "cannot set the terminal's modes");
    screen.open = 1;
    put(ENTER, strlen(ENTER));
    return true;
}

void screen_close(void)
{
    restore();
}

/* Where no shell would let the process go on again, the kernel ignores the signal, and nothing
 * stops (setpgid(2), orphaned process groups). */
void screen_stop(void)
{
    struct error error;
    sigset_t set, before;

    restore();
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    raise(SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &set, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    screen_open(&error);
}

/* ---- Frames ---- */

void screen_size(int *columns, int *rows)
{
    struct winsize size = {0};

    *columns = 80;
    *rows = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
        return;
    *columns = size.ws_col < COLUMNS_MOST ? size.ws_col : COLUMNS_MOST;
    *rows = size.ws_row < ROWS_MOST ? size.ws_row : ROWS_MOST;
}

void screen_draw(const struct text *frame)
{
    struct text out = {0};
    const char *line = text_string(frame);

    text_append_string(&out, "\033[H");
    while (*line != '\0') {
        size_t size = strcspn(line, "\n");
        text_append(&out, (struct bytes){line, size});
        text_append_string(&out, "\033[0m\033[K");
        line += size + (line[size] == '\n');
        if (*line != '\0')
            text_append_string(&out, "\r\n");
    }
    text_append_string(&out, "\033[J");
    put(out.data, out.size);
    text_free(&out);
}

/* ---- Keys ---- */

static const struct {
    const char *sequence; /* behind ESC */
    int key;
} sequences[] = {
    {"[A", KEY_UP},       {"OA", KEY_UP},         {"[B", KEY_DOWN}, {"OB", KEY_DOWN},
    {"[C", KEY_RIGHT},    {"OC", KEY_RIGHT},      {"[D", KEY_LEFT}, {"OD", KEY_LEFT},
    {"[5~", KEY_PAGE_UP}, {"[6~", KEY_PAGE_DOWN}, {"[H", KEY_HOME}, {"OH", KEY_HOME},
    {"[1~", KEY_HOME},    {"[F", KEY_END},        {"OF", KEY_END},  {"[4~", KEY_END},
};

static void read_typed(void)
{
    size_t room = sizeof(screen.typed) - screen.typed_size;
    struct pollfd readable = {.fd = STDIN_FILENO, .events = POLLIN};

    if (room == 0 || screen.ended || poll(&readable, 1, 0) <= 0)
        return;
    ssize_t got = read(STDIN_FILENO, screen.typed + screen.typed_size, room);
    /* A terminal that is gone gives an error, or nothing although it was readable. */
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
        screen.ended = true;
    if (got <= 0)
        return;
    screen.typed_size += (size_t)got;
    screen.typed_ns = clock_ns();
}

static int take(size_t size, int key)
{
    screen.typed_size -= size;
    memmove(screen.typed, screen.typed + size, screen.typed_size);
    return key;
}

/* The size of the sequence that `typed` begins with, ESC included; 0 while it may go on. */
static size_t sequence_size(void)
{
    size_t at = 2;

    if (screen.typed_size < 2)
        return 0;
    if (screen.typed[1] == 'O')
        return screen.typed_size < 3 ? 0 : 3;
    if (screen.typed[1] != '[')
        return 1;
    while (at < screen.typed_size && (screen.typed[at] < '@' || screen.typed[at] > '~'))
        at++;
    return at < screen.typed_size ? at + 1 : 0;
}

static int escape_key(void)
{
    size_t size = sequence_size();

    if (size == 0 && clock_ns() - screen.typed_ns < LONE_NS)
        return KEY_NONE;
    if (size < 2)
        return take(size == 0 ? screen.typed_size : 1, KEY_ESCAPE);
    for (size_t i = 0; i < sizeof(sequences) / sizeof(*sequences); i++) {
        if (strlen(sequences[i].sequence) == size - 1 &&
            memcmp(screen.typed + 1, sequences[i].sequence, size - 1) == 0)
            return take(size, sequences[i].key);
    }
    return take(size, KEY_OTHER);
}

int screen_key(bool *ended)
{
    read_typed();
    *ended = screen.ended && screen.typed_size == 0;
    if (screen.typed_size == 0)
        return KEY_NONE;
    if (screen.typed[0] == KEY_ESCAPE)
        return escape_key();
    char typed = screen.typed[0];
    if (typed == '\n')
        typed = '\r';
    if (typed == '\b')
        typed = KEY_ERASE;
    return take(1, (unsigned char)typed);
}

bool screen_waits(void)
{
    return screen.typed_size > 0;
}
