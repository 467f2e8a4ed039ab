/* Lines that requests cause: see core/base/log_seldom.h. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log_seldom.h"

static uint64_t now_ns = 7 * NS_PER_S;
static char path[] = "/tmp/pillion-seldom-XXXXXX";

uint64_t __wrap_clock_ns(void);
uint64_t __wrap_clock_ns(void)
{
    return now_ns;
}

static void say(const void *about, int number)
{
    log_seldom(LOG_WARN_LEVEL, about, "line %d", number);
}

/* How many lines of the log have `part`. */
static unsigned logged(const char *part)
{
    static char text[1 << 20];
    unsigned count = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, text, sizeof(text) - 1);

    ck_assert_int_ge(size, 0);
    text[size] = '\0';
    close(fd);
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

START_TEST(lines_of_one_kind_are_few_and_the_rest_is_told)
{
    struct error error;
    static const char one, other;
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert(log_open(&(struct log_target){path, LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
    for (int i = 0; i < 100; i++)
        say(&one, i);
    ck_assert_uint_eq(logged("line "), LOG_SELDOM_LINES);
    log_seldom(LOG_WARN_LEVEL, &one, "a line of another kind %d", 1);
    say(&other, 1000);
    ck_assert_uint_eq(logged("line of another kind 1"), 1);
    ck_assert_uint_eq(logged("line 1000"), 1);
    now_ns += LOG_SELDOM_NS - 1;
    say(&one, 2000);
    ck_assert_uint_eq(logged("line 2000"), 0);
    now_ns++;
    say(&one, 3000);
    ck_assert_uint_eq(logged("line 3000 (and 96 more such lines since the last one)"), 1);
    for (int i = 0; i < 100; i++)
        say(&one, 4000 + i);
    ck_assert_uint_eq(logged("line 40"), LOG_SELDOM_LINES - 1);
    /* More kinds than are kept apart. */
    for (uintptr_t i = 1; i <= 1000; i++) {
        for (int n = 0; n < 3; n++)
            say((const void *)(i * 4096), 7000);
    }
    ck_assert_uint_ge(logged("line 7000"), 250);
    ck_assert_uint_le(logged("line 7000"), LOG_SELDOM_LINES * 256);
    unlink(path);
}
END_TEST

UNIT_MAIN("log_seldom", lines_of_one_kind_are_few_and_the_rest_is_told)
