/* Logs that cannot be written, or not opened, just now: see core/base/log.h, sink.h, log_file.h and
 * log_syslog.h. Nothing waits, every line is there or counted. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/log_file.h"
#include "base/log_syslog.h"
#include "base/sink.h"
#include "must.h"

#define LINES 5000u

static char directory[] = "/tmp/pillion-lost-XXXXXX";
static struct error error;

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];

    if (strstr(directory, "XXXXXX") != NULL) /* one X may well be left of what mkdtemp made */
        ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static void clean_up(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    ck_assert_int_eq(system(command), 0);
    memset(directory + strlen(directory) - 6, 'X', 6);
}

static struct text read_all(int fd)
{
    struct text text = {0};
    char piece[65536];
    ssize_t size;

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    while ((size = read(fd, piece, sizeof(piece))) > 0)
        text_append(&text, (struct bytes){piece, (size_t)size});
    return text;
}

static unsigned count(const char *text, const char *part)
{
    unsigned times = 0;
    while ((text = strstr(text, part)) != NULL) {
        times++;
        text += strlen(part);
    }
    return times;
}

/* As the server's standard error, `writer` is full and then read by `reader`. Every line is there
 * or among those that are told as missing. `owns`: it becomes the server's own. */
static void fill_and_drain(int reader, int writer, bool owns)
{
    _Atomic uint64_t lost = 0;
    unsigned long told = 0;
    int saved = dup(STDERR_FILENO);
    int flags = fcntl(writer, F_GETFL);

    ck_assert_int_eq(dup2(writer, STDERR_FILENO), STDERR_FILENO);
    if (owns)
        sink_own(STDERR_FILENO);
    must(log_open(&(struct log_target){"stderr", LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
    log_count_lost(&lost);
    for (unsigned i = 0; i < LINES; i++)
        log_info("a line, %u of them, of the length that they often have here", i);
    bool owed = log_owes();
    struct text before = read_all(reader);
    log_settle();
    bool settled = !log_owes();
    log_info("and one more");
    struct text after = read_all(reader);
    dup2(saved, STDERR_FILENO);
    must(log_open(&(struct log_target){"stderr", LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
    log_count_lost(NULL);

    ck_assert(owed && settled);
    ck_assert_int_eq(fcntl(writer, F_GETFL), flags);
    ck_assert_uint_gt(lost, 0);
    unsigned whole = count(text_string(&before), "often have here\n");
    ck_assert_uint_eq(whole, count(text_string(&before), "\n"));
    ck_assert_uint_eq(whole + lost, LINES);
    const char *told_at = strstr(text_string(&after), "[error] ");
    ck_assert_ptr_nonnull(told_at);
    ck_assert_int_eq(
        sscanf(strstr(told_at, ": "), ": %lu lines of this process are missing", &told), 1);
    ck_assert_uint_eq(told, lost);
    ck_assert_ptr_nonnull(strstr(told_at, "did not keep up\n"));
    ck_assert_uint_eq(count(text_string(&after), "and one more\n"), 1);
    text_free(&before);
    text_free(&after);
    close(saved);
}

START_TEST(log_to_a_full_pipe_waits_for_nobody)
{
    int ends[2];

    for (int owns = 0; owns < 2; owns++) {
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        fill_and_drain(ends[0], ends[1], owns);
        close(ends[0]);
        close(ends[1]);
    }
}
END_TEST

START_TEST(log_to_a_full_socket_waits_for_nobody)
{
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    fill_and_drain(ends[0], ends[1], true);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

/* A terminal turns lines' ends into two characters, and may be stopped in the middle of a line. */
START_TEST(log_to_a_stopped_terminal_waits_for_nobody)
{
    for (int owns = 0; owns < 2; owns++) {
        int saved = dup(STDERR_FILENO);
        int keyboard = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        ck_assert_int_ge(keyboard, 0);
        ck_assert(grantpt(keyboard) == 0 && unlockpt(keyboard) == 0);
        int screen = open(ptsname(keyboard), O_RDWR | O_NOCTTY | O_CLOEXEC);
        ck_assert_int_ge(screen, 0);
        dup2(screen, STDERR_FILENO);
        if (owns)
            sink_own(STDERR_FILENO);
        must(log_open(&(struct log_target){"stderr", LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
        for (unsigned i = 0; i < LINES; i++)
            log_info("a line, %u of them, of the length that they often have here", i);
        struct text text = {0};
        for (unsigned turn = 0; log_owes() && turn < 1000; turn++) {
            struct text more = read_all(keyboard);
            text_append(&text, (struct bytes){text_string(&more), more.size});
            text_free(&more);
            log_settle();
            usleep(1000);
        }
        bool owes = log_owes();
        dup2(saved, STDERR_FILENO);
        close(saved);
        must(log_open(&(struct log_target){"stderr", LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
        ck_assert(!owes);
        ck_assert_ptr_nonnull(strstr(text_string(&text), "often have here\r\n"));
        text_free(&text);
        close(screen);
        close(keyboard);
    }
}
END_TEST

START_TEST(log_to_a_fifo_waits_for_no_reader)
{
    const char *fifo = path_of("fifo");

    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    ck_assert_msg(log_open(&(struct log_target){fifo, LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error),
                  "%s", error.text);
    log_info("first");
    /* The reader comes, goes, and comes back. */
    int reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct text text = read_all(reader);
    ck_assert_ptr_nonnull(strstr(text_string(&text), "first\n"));
    text_free(&text);
    close(reader);
    log_info("second");
    ck_assert(!log_owes());
    reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    text = read_all(reader);
    ck_assert_ptr_nonnull(strstr(text_string(&text), "second\n"));
    text_free(&text);
    close(reader);
    clean_up();
}
END_TEST

START_TEST(log_line_that_was_cut_short_is_not_the_next_ones_beginning)
{
    char text[5000];
    int ends[2], saved = dup(STDERR_FILENO);

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    dup2(ends[1], STDERR_FILENO);
    must(log_open(&(struct log_target){"stderr", LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
    memset(text, 'x', sizeof(text));
    for (unsigned i = 0; i < 30; i++) /* 150,000 bytes: more than a pipe's */
        log_info("<%.*s>", (int)sizeof(text), text);
    struct text before = read_all(ends[0]);
    log_info("next");
    struct text after = read_all(ends[0]);
    dup2(saved, STDERR_FILENO);
    must(log_open(&(struct log_target){"stderr", LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
    ck_assert_int_ne(before.data[before.size - 1], '\n');
    ck_assert_int_eq(after.data[0], '\n');
    ck_assert_ptr_nonnull(strstr(after.data, "missing here"));
    ck_assert_ptr_nonnull(strstr(after.data, ": next\n"));
    text_free(&before);
    text_free(&after);
}
END_TEST

/* The limit on a file's size stands for a full disk. The process that it hits is another one than
 * the process that writes next, and shares the descriptor with it, or has one of its own. */
START_TEST(log_line_that_a_full_disk_has_cut_is_not_another_processs_beginning)
{
    for (int own = 0; own < 2; own++) {
        const char *file = path_of(own ? "own" : "shared");
        struct log_target target = {file, LOG_INFO_LEVEL, LOG_FORMAT_TEXT};

        must(log_open(&target, &error));
        log_info("first");
        fflush(NULL);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            struct rlimit limit = {.rlim_cur = 150, .rlim_max = RLIM_INFINITY};
            signal(SIGXFSZ, SIG_IGN);
            if (own)
                log_open(&target, &error);
            setrlimit(RLIMIT_FSIZE, &limit);
            log_info("%0200d", 0);
            _exit(log_owes() ? 0 : 1);
        }
        int status = -1;
        ck_assert(waitpid(pid, &status, 0) == pid && status == 0);
        log_info("next");
        int fd = open(file, O_RDONLY | O_CLOEXEC);
        struct text text = read_all(fd);
        close(fd);
        ck_assert_uint_eq(count(text_string(&text), "\n"), 3);
        ck_assert_int_eq(text.data[150 - 1], '\n');
        ck_assert_ptr_nonnull(strstr(text.data + 150, ": next\n"));
        text_free(&text);
    }
    must(log_open(&(struct log_target){"stderr", LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
    clean_up();
}
END_TEST

/* ---- syslog ---- */

static int listen_as_syslogd(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    ck_assert_uint_lt(strlen(path), sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    unlink(path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (type == SOCK_STREAM)
        ck_assert_int_eq(listen(fd, 5), 0);
    return fd;
}

START_TEST(log_to_a_syslogd_that_does_not_read_waits_for_nobody)
{
    static char path[128];
    char line[1024], wanted[64];
    unsigned got = 0, told = 0, sum = 0;
    struct stat status;

    snprintf(path, sizeof(path), "%s", path_of("dev-log"));
    log_syslog_path = path;
    log_identity("worker 3");
    int daemon = listen_as_syslogd(path, SOCK_DGRAM);
    must(log_open(&(struct log_target){"syslog:local3", LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
    for (unsigned i = 0; i < LINES; i++)
        log_warn("line %u.", i);
    ck_assert(log_owes());
    for (unsigned turn = 0; turn < 2; turn++) {
        ssize_t size;
        while ((size = recv(daemon, line, sizeof(line) - 1, MSG_DONTWAIT)) > 0) {
            line[size] = '\0';
            if (sscanf(strstr(line, "]: ") + 3, "[worker 3] %u line", &told) == 1)
                sum += told;
            else
                got++;
            if (turn == 0 && got == 1) /* local3 is 19, warning 4 */
                ck_assert(strncmp(line, "<156>", 5) == 0);
            snprintf(wanted, sizeof(wanted), " pillion[%d]: [worker 3] ", (int)getpid());
            ck_assert_ptr_nonnull(strstr(line, wanted));
        }
        log_settle();
    }
    ck_assert(!log_owes());
    ck_assert_uint_eq(got + sum, LINES);
    /* Another one in its place is found, and one that speaks streams. */
    close(daemon);
    log_info("to nobody");
    ck_assert(log_owes());
    daemon = listen_as_syslogd(path, SOCK_DGRAM);
    int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    close(STDIN_FILENO);
    log_info("to another");
    ck_assert(!log_owes());
    /* By no descriptor that a library may print to. */
    ck_assert(fstat(STDIN_FILENO, &status) == 0 && S_ISCHR(status.st_mode));
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(daemon);
    daemon = listen_as_syslogd(path, SOCK_STREAM);
    log_info("to a stream");
    int client = accept4(daemon, NULL, NULL, SOCK_CLOEXEC);
    ssize_t size = recv(client, line, sizeof(line), 0);
    ck_assert_int_gt((int)size, 10);
    ck_assert_int_eq(line[size - 1], '\0');
    ck_assert_ptr_nonnull(strstr(line, "to a stream"));
    close(client);
    close(daemon);
    must(log_open(&(struct log_target){"stderr", LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
    clean_up();
}
END_TEST

/* ---- what is at a log's path ---- */

static bool opens(const char *path)
{
    int fd = log_file_open(path, &error);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

START_TEST(log_file_follows_links_to_files_directories_and_descriptors)
{
    int ends[2], saved = dup(STDOUT_FILENO);

    ck_assert_int_eq(mkdir(path_of("real"), 0700), 0);
    ck_assert_int_eq(symlink("real", path_of("link")), 0);
    ck_assert_int_eq(symlink("../link/.//../real/b", path_of("real/a")), 0);
    ck_assert_msg(opens(path_of("link/a")), "%s", error.text);
    ck_assert_int_eq(access(path_of("real/b"), F_OK), 0);
    /* A socket cannot be opened by name, also not as /dev/stdout. */
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    dup2(ends[1], STDOUT_FILENO);
    ck_assert_int_eq(symlink("/dev/stdout", path_of("out")), 0);
    int fd = log_file_open(path_of("out"), &error);
    dup2(saved, STDOUT_FILENO);
    ck_assert_int_gt(fd, STDERR_FILENO);
    ck_assert_int_eq(write(fd, "x", 1), 1);
    char c;
    ck_assert_int_eq(read(ends[0], &c, 1), 1);
    close(fd);
    clean_up();
}
END_TEST

START_TEST(log_file_that_is_something_else_is_refused)
{
    ck_assert_int_eq(symlink("loop", path_of("loop")), 0);
    ck_assert(!opens(path_of("loop")));
    ck_assert_ptr_nonnull(strstr(error.text, "ELOOP"));
    ck_assert(!opens(path_of("")));
    ck_assert_ptr_nonnull(strstr(error.text, "EISDIR"));
    ck_assert(!opens("/"));
    ck_assert(!opens(path_of("nowhere/log")));
    ck_assert_ptr_nonnull(strstr(error.text, "ENOENT"));
    ck_assert(opens(path_of("file")));
    ck_assert(!opens(path_of("file/log")));
    ck_assert_ptr_nonnull(strstr(error.text, "ENOTDIR"));
    clean_up();
}
END_TEST

START_TEST(log_file_of_root_is_where_root_has_put_it)
{
    enum { NOBODY = 65534, SOMEBODY = 4242 };

    if (geteuid() != 0) /* links of others can do nothing that the server's user cannot */
        return;
    log_file_distrust(NOBODY);
    ck_assert_int_eq(mkdir(path_of("real"), 0700), 0);
    ck_assert_int_eq(symlink("real", path_of("way")), 0);
    ck_assert_int_eq(symlink("real/elsewhere", path_of("log")), 0);
    ck_assert(opens(path_of("log")) && opens(path_of("way/log")));
    /* The way may be the installer's, never the workers'; the file itself is root's. */
    ck_assert_int_eq(lchown(path_of("way"), SOMEBODY, SOMEBODY), 0);
    ck_assert_int_eq(lchown(path_of("log"), SOMEBODY, SOMEBODY), 0);
    ck_assert(opens(path_of("way/log")) && !opens(path_of("log")));
    ck_assert_ptr_nonnull(strstr(error.text, "symbolic link of user 4242"));
    ck_assert_int_eq(lchown(path_of("way"), NOBODY, NOBODY), 0);
    ck_assert(!opens(path_of("way/log")));
    /* A second name, made where others may write. */
    ck_assert_int_eq(link(path_of("real/log"), path_of("real/second")), 0);
    ck_assert(opens(path_of("real/second")));
    ck_assert_int_eq(chown(path_of("real"), NOBODY, NOBODY), 0);
    ck_assert(!opens(path_of("real/second")));
    ck_assert_ptr_nonnull(strstr(error.text, "EMLINK"));
    log_file_distrust(0);
    clean_up();
}
END_TEST

UNIT_MAIN("log_lost", log_to_a_full_pipe_waits_for_nobody, log_to_a_full_socket_waits_for_nobody,
          log_to_a_stopped_terminal_waits_for_nobody, log_to_a_fifo_waits_for_no_reader,
          log_line_that_was_cut_short_is_not_the_next_ones_beginning,
          log_line_that_a_full_disk_has_cut_is_not_another_processs_beginning,
          log_to_a_syslogd_that_does_not_read_waits_for_nobody,
          log_file_follows_links_to_files_directories_and_descriptors,
          log_file_that_is_something_else_is_refused, log_file_of_root_is_where_root_has_put_it)
