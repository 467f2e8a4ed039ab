/* What files of zones promise: see core/rpc/zone_file.h. The clocks are the test's: a machine that
 * starts anew is one whose monotonic clock begins anew. */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "rpc/zone.h"
#include "rpc/zone_file.h"

#define SIZE    (64u << 10)
#define BOOT_AT 48 /* in struct file_header: what tells one start of the machine from the next */
#define MADE_AT 44

static uint64_t mono_ms = 5000000, wall_ms = 1700000000000;

uint64_t __wrap_clock_ns(void);
uint64_t __wrap_clock_wall_ms(void);

uint64_t __wrap_clock_ns(void)
{
    return mono_ms * NS_PER_MS;
}

uint64_t __wrap_clock_wall_ms(void)
{
    return wall_ms;
}

static char directory[64], path[96];
static struct zone_memory memory;
static pillion_zone *zone;

static void expect_open(void)
{
    struct error error;

    ck_assert_msg(zone_file_open(path, SIZE, &memory, &error), "%s", error.text);
    zones_forget();
    ck_assert_msg(zone_add("z", &memory, &error), "%s", error.text);
    zone = zone_find("z");
}

/* What opening it, and looking at it, is refused with; nothing is left open. */
static void expect_refused(uint64_t size, const char *words)
{
    struct error error;

    ck_assert(!zone_file_open(path, size, &memory, &error));
    ck_assert_msg(strstr(error.text, words) != NULL, "%s", error.text);
    ck_assert_msg(strstr(error.text, path) != NULL, "%s", error.text);
    ck_assert(!zone_file_check(path, size, &error));
    ck_assert_msg(strstr(error.text, words) != NULL, "%s", error.text);
}

static void set_up(void)
{
    struct error error;

    ck_assert(
        log_open(&(struct log_target){"/dev/null", LOG_ERROR_LEVEL, LOG_FORMAT_TEXT}, &error));
    snprintf(directory, sizeof(directory), "/tmp/pillion-zone-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/z", directory);
}

static void tear_down(void)
{
    unlink(path);
    rmdir(directory);
}

/* In a process of its own, which ends: what is mapped stays locked. */
static void in_a_server(void (*run)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        run();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

static void write_at(off_t at, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, data, size, at), (ssize_t)size);
    close(fd);
}

static long size_of(const char *key)
{
    return zone_get(zone, key, strlen(key), NULL, 0);
}

static void fill(void)
{
    static const char large[3000] = "large";

    expect_open();
    zone_set(zone, "ever", 4, "x", 1, 0);
    zone_set(zone, "hour", 4, "xx", 2, 3600000);
    zone_set(zone, "large hour", 10, large, sizeof(large), 3600000);
    zone_set(zone, "once", 4, "xxx", 3, PILLION_ONCE(3600000));
}

static void expect_hours_left(void)
{
    expect_open();
    ck_assert_int_eq(size_of("ever"), 1);
    mono_ms += 30 * 60000 - 1;
    ck_assert_int_eq(size_of("hour"), 2);
    ck_assert_int_eq(size_of("large hour"), 3000);
    ck_assert_int_eq(size_of("once"), 3);
    mono_ms += 1;
    ck_assert_int_eq(size_of("hour"), -1);
    ck_assert_int_eq(size_of("large hour"), -1);
    ck_assert_int_eq(size_of("once"), -1);
    ck_assert_int_eq(size_of("ever"), 1);
}

START_TEST(values_outlive_the_server)
{
    set_up();
    in_a_server(fill);
    mono_ms += 30 * 60000;
    wall_ms += 5 * 3600000; /* somebody sets the clock: nothing to a machine that runs on */
    in_a_server(expect_hours_left);
    tear_down();
}
END_TEST

/* Half an hour later by the wall clock, with a monotonic clock that has begun anew. */
START_TEST(values_outlive_a_restart_of_the_machine_and_expire_in_time)
{
    set_up();
    in_a_server(fill);
    write_at(BOOT_AT, "another", 7);
    mono_ms = 20000;
    wall_ms += 30 * 60000;
    in_a_server(expect_hours_left);
    tear_down();
}
END_TEST

static void expect_an_hour_left(void)
{
    mono_ms += 30 * 60000;
    expect_hours_left();
}

/* A machine without a clock of its own begins in 1970. */
START_TEST(a_clock_that_goes_back_lets_values_expire)
{
    set_up();
    in_a_server(fill);
    write_at(BOOT_AT, "another", 7);
    mono_ms = 20000;
    wall_ms = 1000;
    in_a_server(expect_open);
    in_a_server(expect_an_hour_left);
    tear_down();
}
END_TEST

static void wait_for_kill(void)
{
    expect_open();
    kill(getppid(), SIGCONT);
    pause();
}

/* The server that wait_for_kill is, when it has the file. */
static pid_t start_waiting(void)
{
    sigset_t set;
    int number;

    sigemptyset(&set);
    sigaddset(&set, SIGCONT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pid_t pid = fork();
    if (pid == 0)
        wait_for_kill();
    sigwait(&set, &number);
    return pid;
}

START_TEST(a_file_in_use_is_refused_and_free_when_its_server_has_ended)
{
    struct error error;
    char words[64];

    set_up();
    pid_t pid = start_waiting();
    ck_assert(!zone_file_open(path, SIZE, &memory, &error));
    snprintf(words, sizeof(words), "another server, process %d, uses", (int)pid);
    ck_assert_msg(strstr(error.text, words) != NULL, "%s", error.text);
    ck_assert(zone_file_check(path, SIZE, &error)); /* -t beside a server that runs */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    in_a_server(expect_open);
    tear_down();
}
END_TEST

static void leave_lock(void)
{
    const uint32_t everything = 0x80000001; /* process 1 has it, and others wait */

    expect_open();
    for (off_t at = 4096; at < 8192; at += 4)
        pwrite(memory.fd, &everything, sizeof(everything), at);
}

static void expect_ever(void)
{
    expect_open();
    ck_assert_int_eq(size_of("ever"), 1);
    zone_set(zone, "new", 3, "x", 1, 0);
    ck_assert_int_eq(size_of("new"), 1);
}

/* Whatever is in the page that workers can write to. */
START_TEST(a_lock_that_was_left_is_free)
{
    set_up();
    in_a_server(fill);
    in_a_server(leave_lock);
    in_a_server(expect_ever);
    tear_down();
}
END_TEST

START_TEST(other_files_are_refused_and_stay)
{
    char text[16] = "";
    const char *swapped = "\1\2\3\4";
    const uint32_t later = 99;

    set_up();
    in_a_server(fill);
    expect_refused(SIZE * 2, "was made for a zone of 65536 bytes, not 131072");
    truncate(path, 4096 + SIZE - 4096);
    expect_refused(SIZE, "was cut, or has grown");
    truncate(path, 4096 + SIZE);
    write_at(8, swapped, 4);
    expect_refused(SIZE, "of another byte order");
    write_at(8, "\4\3\2\1", 4);
    write_at(12, &later, 4);
    expect_refused(SIZE, "by another version");
    write_at(0, "#!/bin/sh\n\n\n", 12);
    expect_refused(SIZE, "is no zone");
    ck_assert_int_eq(truncate(path, 11), 0);
    expect_refused(SIZE, "is no zone");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(read(fd, text, sizeof(text)), 11);
    ck_assert_str_eq(text, "#!/bin/sh\n\n");
    close(fd);
    tear_down();
}
END_TEST

START_TEST(files_that_others_may_write_are_refused)
{
    set_up();
    in_a_server(fill);
    chmod(path, 0660);
    expect_refused(SIZE, "chmod 600");
    chmod(path, 0600);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(path, 12345, 12345), 0);
        expect_refused(SIZE, "belongs to user 12345");
        ck_assert_int_eq(chown(path, 0, 0), 0);
    }
    in_a_server(expect_ever);
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    expect_refused(SIZE, "is no regular file");
    unlink(path);
    ck_assert_int_eq(symlink("/tmp/nowhere", path), 0);
    expect_refused(SIZE, "is a symbolic link");
    tear_down();
}
END_TEST

/* As a full disk does. */
START_TEST(a_file_that_gets_no_space_is_not_left)
{
    struct rlimit limit = {.rlim_cur = SIZE, .rlim_max = RLIM_INFINITY};
    struct error error;

    set_up();
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert(!zone_file_open(path, SIZE, &memory, &error));
    ck_assert_msg(strstr(error.text, "cannot make the zone file") != NULL, "%s", error.text);
    ck_assert_int_ne(access(path, F_OK), 0);
    limit.rlim_cur = RLIM_INFINITY;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    in_a_server(expect_open);
    tear_down();
}
END_TEST

/* Whoever made it was killed before it had its space, or before its header was written. */
START_TEST(a_file_that_was_not_finished_is_made_anew)
{
    const uint32_t no = 0;

    set_up();
    in_a_server(fill);
    write_at(MADE_AT, &no, sizeof(no));
    ck_assert_int_eq(truncate(path, 5000), 0);
    in_a_server(fill);
    in_a_server(expect_ever);
    ck_assert_int_eq(truncate(path, 0), 0);
    in_a_server(fill);
    in_a_server(expect_ever);
    tear_down();
}
END_TEST

UNIT_MAIN("zone_file", values_outlive_the_server,
          values_outlive_a_restart_of_the_machine_and_expire_in_time,
          a_clock_that_goes_back_lets_values_expire,
          a_file_in_use_is_refused_and_free_when_its_server_has_ended, a_lock_that_was_left_is_free,
          other_files_are_refused_and_stay, files_that_others_may_write_are_refused,
          a_file_that_gets_no_space_is_not_left, a_file_that_was_not_finished_is_made_anew)
