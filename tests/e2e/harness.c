/* Time, memory, files, and cleaning up when a test ends. See harness.h.
 *
 * Of servers it knows only process groups and directories. */
#include "harness_private.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- time ---- */

int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t deadline_in(int64_t ms)
{
    const char *multiplier = getenv("CK_TIMEOUT_MULTIPLIER");
    double factor = multiplier == NULL ? 1 : atof(multiplier);

    return now_ms() + (int64_t)((double)ms * (factor > 1 ? factor : 1));
}

bool deadline_over(int64_t deadline)
{
    return now_ms() >= deadline;
}

void look_again(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
}

/* ---- failure ---- */

static const char *at_row;

void test_row(const char *row)
{
    at_row = row;
}

void fail_test(const char *format, ...)
{
    char text[4096];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    ck_abort_msg("%s%s%s", at_row == NULL ? "" : at_row, at_row == NULL ? "" : ": ", text);
}

/* ---- memory ---- */

static void **kept;
static size_t kept_count;

void *keep(void *memory)
{
    kept = realloc(kept, (kept_count + 1) * sizeof(*kept));
    if (kept == NULL || memory == NULL)
        abort();
    kept[kept_count++] = memory;
    return memory;
}

void kept_free(void)
{
    for (size_t i = 0; i < kept_count; i++)
        free(kept[i]);
    free(kept);
    kept = NULL;
    kept_count = 0;
}

char *keep_printf(const char *format, ...)
{
    va_list args;
    char *text = NULL;

    va_start(args, format);
    int size = vasprintf(&text, format, args);
    va_end(args);
    return size < 0 ? NULL : keep(text);
}

/* ---- files ---- */

void file_write(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "we");

    if (file == NULL)
        fail_test("cannot write %s: %s", path, strerror(errno));
    bool good = fwrite(data, 1, size, file) == size;
    if (fclose(file) != 0 || !good)
        fail_test("cannot write %s: %s", path, strerror(errno));
}

char *file_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "re");
    char *data = NULL;
    size_t used = 0, more;

    if (file == NULL)
        fail_test("cannot read %s: %s", path, strerror(errno));
    do {
        data = realloc(data, used + 65536 + 1);
        if (data == NULL)
            abort();
        more = fread(data + used, 1, 65536, file);
        used += more;
    } while (more > 0);
    fclose(file);
    data[used] = '\0';
    if (size != NULL)
        *size = used;
    return keep(data);
}

void file_copy(const char *from, const char *to)
{
    size_t size;
    char *data = file_read(from, &size);

    file_write(to, data, size);
    chmod(to, 0755);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    remove(path);
    return 0;
}

void directory_remove(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- the keeper ---- */

#define LOG_TAIL 6000

struct note {
    char kind; /* 'g'roup, 'd'irectory, 'e'nd */
    pid_t group;
    char path[64];
};

static int keeper = -1; /* the pipe to it */

static void send_note(const struct note *note)
{
    if (keeper >= 0 && write(keeper, note, sizeof(*note)) != (ssize_t)sizeof(*note))
        abort();
}

/* Prints the end of a server's logs, which may tell why the test failed. */
void show_log(const char *prefix)
{
    static const char *const names[] = {"stderr.log", "error.log"};
    char path[128], tail[LOG_TAIL + 1];

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        snprintf(path, sizeof(path), "%s/logs/%s", prefix, names[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        off_t size = lseek(fd, 0, SEEK_END);
        ssize_t got = pread(fd, tail, LOG_TAIL, size > LOG_TAIL ? size - LOG_TAIL : 0);
        if (got > 0)
            fprintf(stderr, "---- %s of a test that failed:\n%.*s", names[i], (int)got, tail);
        close(fd);
    }
}

static _Noreturn void keeper_run(int notes)
{
    struct note note, all[64];
    size_t count = 0;

    while (read(notes, &note, sizeof(note)) == (ssize_t)sizeof(note)) {
        if (note.kind == 'e')
            _exit(0);
        if (count < sizeof(all) / sizeof(*all))
            all[count++] = note;
    }
    for (size_t i = 0; i < count; i++) {
        if (all[i].kind == 'g')
            kill(-all[i].group, SIGKILL);
    }
    for (size_t i = 0; i < count; i++) {
        if (all[i].kind != 'd')
            continue;
        show_log(all[i].path);
        directory_remove(all[i].path);
    }
    _exit(0);
}

void keeper_start(void)
{
    int ends[2];

    fflush(NULL);
    if (pipe2(ends, O_CLOEXEC) < 0)
        fail_test("cannot create a pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        fail_test("cannot start the keeper: %s", strerror(errno));
    if (pid == 0) {
        /* Check kills the test's process group, and the keeper must survive. */
        setpgid(0, 0);
        signal(SIGINT, SIG_IGN);
        close(ends[1]);
        keeper_run(ends[0]);
    }
    close(ends[0]);
    keeper = ends[1];
}

void keeper_group(pid_t group)
{
    send_note(&(struct note){.kind = 'g', .group = group});
}

void keeper_directory(const char *path)
{
    struct note note = {.kind = 'd'};

    snprintf(note.path, sizeof(note.path), "%s", path);
    send_note(&note);
}

void keeper_dismiss(void)
{
    send_note(&(struct note){.kind = 'e'});
    close(keeper);
    keeper = -1;
}

/* ---- fixture ---- */

void harness_setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    test_row(NULL);
    keeper_start();
}

void harness_teardown(void)
{
    bool good = servers_end();

    keeper_dismiss();
    replies_free();
    kept_free();
    ck_assert_msg(good, "the server did not end as it should; see above");
}
