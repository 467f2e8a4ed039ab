/* What the log promises: see core/base/log.h. */
#include "unit.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "must.h"
#include "wire/json.h"

static char directory[] = "/tmp/pillion-log-XXXXXX";
static char path[64], moved[64];
static struct error error;

static void start(enum log_level level, enum log_format format)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/log", directory);
    snprintf(moved, sizeof(moved), "%s/log.1", directory);
    ck_assert_msg(log_open(&(struct log_target){path, level, format}, &error), "%s", error.text);
    log_identity("worker 3");
}

static struct text contents(const char *file)
{
    struct text text = {0};
    char buffer[65536];
    ssize_t got;
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    while ((got = read(fd, buffer, sizeof(buffer))) > 0)
        text_append(&text, (struct bytes){buffer, (size_t)got});
    close(fd);
    return text;
}

/* The line that was logged since the last call, without its newline. */
static char *line(void)
{
    struct text text = contents(path);

    ck_assert_uint_gt(text.size, 0);
    ck_assert_int_eq(text.data[text.size - 1], '\n');
    text.data[text.size - 1] = '\0';
    ck_assert_ptr_null(strchr(text.data, '\n'));
    ck_assert_int_eq(truncate(path, 0), 0);
    return text_take(&text);
}

static void nothing(void)
{
    struct text text = contents(path);
    ck_assert_uint_eq(text.size, 0);
    text_free(&text);
}

static void clean_up(void)
{
    unlink(path);
    unlink(moved);
    rmdir(directory);
}

/* ---- Lines ---- */

START_TEST(log_text_line_has_time_level_and_process)
{
    start(LOG_INFO_LEVEL, LOG_FORMAT_TEXT);
    errno = ENOENT;
    log_warn("something happened %d times", 3);
    ck_assert_int_eq(errno, ENOENT);
    char *text = line();
    unsigned year, month, day, hour, minute, second, ms;
    int pid, end = 0;
    ck_assert_int_eq(sscanf(text, "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ [warn] worker 3 %d: %n", &year,
                            &month, &day, &hour, &minute, &second, &ms, &pid, &end),
                     8);
    ck_assert_str_eq(text + end, "something happened 3 times");
    ck_assert_int_eq(pid, getpid());
    ck_assert(year >= 2020 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 &&
              minute < 60 && second <= 60);
    free(text);
    clean_up();
}
END_TEST

/* Modules give the names of fields: a name can neither break a line nor pass for one of the line's
 * own fields. */
static const struct log_field odd_fields[] = {
    {.name = "level", .number = 1},         {.name = "a\nb", .number = 2},
    {.name = "c d=\"", .text = {"e f", 3}}, {.name = "twice", .number = 3},
    {.name = "twice", .number = 4},         {.name = NULL}};

START_TEST(log_fields_have_names_that_can_be_told_apart)
{
    start(LOG_INFO_LEVEL, LOG_FORMAT_TEXT);
    log_write_fields(LOG_WARN_LEVEL, odd_fields, "so");
    char *text = line();
    ck_assert_str_eq(strstr(text, ": so") + 4, " level_=1 a_b=2 c_d__=\"e f\" twice=3 twice_=4");
    free(text);
    clean_up();
}
END_TEST

START_TEST(log_fields_are_members_of_their_own_in_json)
{
    start(LOG_INFO_LEVEL, LOG_FORMAT_JSON);
    log_write_fields(LOG_WARN_LEVEL, odd_fields, "so");
    char *text = line();
    ck_assert_ptr_nonnull(strstr(text, "\"level\":\"warn\""));
    ck_assert_str_eq(strstr(text, ",\"level_"),
                     ",\"level_\":1,\"a_b\":2,\"c_d__\":\"e f\",\"twice\":3,\"twice_\":4}");
    free(text);
    clean_up();
}
END_TEST

START_TEST(log_json_line_is_an_object)
{
    struct json_error wrong;
    const struct json_limits limits = {8, 100};

    start(LOG_INFO_LEVEL, LOG_FORMAT_JSON);
    log_error("a \"quoted\" \\ path, caf\xc3\xa9, and \xff\xfe");
    char *text = line();
    ck_assert_msg(json_check(bytes_of(text), &limits, &wrong), "%s: %s", wrong.reason, text);
    cJSON *object = cJSON_Parse(text);
    ck_assert_ptr_nonnull(object);
    ck_assert_str_eq(cJSON_GetObjectItem(object, "level")->valuestring, "error");
    ck_assert_str_eq(cJSON_GetObjectItem(object, "process")->valuestring, "worker 3");
    ck_assert_int_eq(cJSON_GetObjectItem(object, "pid")->valueint, getpid());
    ck_assert_uint_eq(strlen(cJSON_GetObjectItem(object, "time")->valuestring), 24);
    ck_assert_str_eq(cJSON_GetObjectItem(object, "message")->valuestring,
                     "a \"quoted\" \\ path, caf\xc3\xa9, and \xef\xbf\xbd\xef\xbf\xbd");
    cJSON_Delete(object);
    free(text);
    clean_up();
}
END_TEST

START_TEST(log_lines_cannot_be_forged)
{
    for (int json = 0; json < 2; json++) {
        start(LOG_INFO_LEVEL, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
        for (int c = 1; c < 0x100; c++) {
            char shown[16];
            log_info("<%c>", c);
            char *text = line(); /* one line, whatever the character */
            for (const char *p = text; *p != '\0'; p++)
                must((unsigned char)*p >= 0x20 && *p != 0x7f);
            snprintf(shown, sizeof(shown), "<\\u%04x>", c);
            if ((c == '\n' || c == '\t') && !json)
                must(strstr(text, "< >") != NULL);
            else if ((c < 0x20 && (!json || strchr("\b\f\n\r\t", c) == NULL)) || c == 0x7f)
                must(strstr(text, shown) != NULL);
            else if (c >= 0x80)
                must(strstr(text, "<\xef\xbf\xbd>") != NULL);
            free(text);
        }
        clean_up();
        strcpy(directory + strlen(directory) - 6, "XXXXXX");
    }
}
END_TEST

/* In the message and in fields, in both formats; JSON as it was sent included. */
START_TEST(log_lines_hold_nothing_that_a_terminal_obeys)
{
    static const char evil[] = "\xc2\x9b"
                               "2J\xe2\x80\xae"
                               "cod.exe\x7f\x1b[2J";
    static const char id[] = "\"\xe2\x80\xae\x7f\xc2\x9b\"";
    const struct log_field fields[] = {{.name = "text", .text = bytes_of(evil)},
                                       {.name = "id", .text = bytes_of(id), .is_json = true},
                                       {0}};

    for (int json = 0; json < 2; json++) {
        start(LOG_INFO_LEVEL, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
        log_write_fields(LOG_INFO_LEVEL, fields, evil);
        char *text = line();
        for (const char *p = text; *p != '\0'; p++)
            must((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f);
        ck_assert_ptr_nonnull(strstr(text, json ? "\"id\":\"\\u202e\\u007f\\u009b\""
                                                : "id=\"\\u202e\\u007f\\u009b\""));
        const char *first = strstr(text, "\\u009b2J\\u202ecod.exe\\u007f\\u001b[2J");
        ck_assert_ptr_nonnull(first);
        ck_assert_ptr_nonnull(strstr(first + 1, "\\u009b2J\\u202ecod.exe\\u007f\\u001b[2J"));
        free(text);
        clean_up();
        strcpy(directory + strlen(directory) - 6, "XXXXXX");
    }
}
END_TEST

START_TEST(log_line_that_is_too_long_is_cut)
{
    static char text[20000];

    memset(text, 'x', sizeof(text) - 1);
    for (int json = 0; json < 2; json++) {
        start(LOG_INFO_LEVEL, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
        log_info("%s", text);
        char *cut = line();
        ck_assert_uint_gt(strlen(cut), 8000);
        ck_assert_uint_lt(strlen(cut), 8500);
        if (json)
            ck_assert_str_eq(cut + strlen(cut) - 2, "\"}");
        free(cut);
        clean_up();
        strcpy(directory + strlen(directory) - 6, "XXXXXX");
    }
}
END_TEST

START_TEST(log_identity_that_is_too_long_is_cut)
{
    start(LOG_INFO_LEVEL, LOG_FORMAT_TEXT);
    log_identity("a name that is longer than any process of the server has");
    log_info("message");
    char *text = line();
    ck_assert_ptr_nonnull(strstr(text, "[info] a name that is longer than "));
    ck_assert_ptr_nonnull(strstr(text, ": message"));
    free(text);
    clean_up();
}
END_TEST

START_TEST(log_level_drops_lesser_messages)
{
    start(LOG_ERROR_LEVEL, LOG_FORMAT_TEXT);
    for (enum log_level level = LOG_ERROR_LEVEL; level <= LOG_DEBUG_LEVEL; level++) {
        ck_assert(log_open(&(struct log_target){path, level, LOG_FORMAT_TEXT}, &error));
        for (enum log_level each = LOG_ERROR_LEVEL; each <= LOG_DEBUG_LEVEL; each++) {
            char words[32];
            ck_assert(log_enabled(each) == (each <= level));
            log_write(each, "message");
            if (each > level) {
                nothing();
                continue;
            }
            char *text = line();
            snprintf(words, sizeof(words), " [%s] ", log_level_name(each));
            ck_assert_ptr_nonnull(strstr(text, words));
            free(text);
        }
    }
    ck_assert(log_open(&(struct log_target){path, LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
    int evaluated = 0;
    log_debug("%d", ++evaluated);
    ck_assert_int_eq(evaluated, 0);
    nothing();
    clean_up();
}
END_TEST

/* ---- Targets ---- */

START_TEST(log_that_cannot_be_opened_leaves_the_old_one)
{
    static const char *const bad[] = {"/nonexistent/log", "/", "syslog:nowhere"};

    start(LOG_INFO_LEVEL, LOG_FORMAT_TEXT);
    int fd = log_descriptor();
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        error.text[0] = '\0';
        ck_assert(
            !log_open(&(struct log_target){bad[i], LOG_ERROR_LEVEL, LOG_FORMAT_JSON}, &error));
        ck_assert_str_ne(error.text, "");
        ck_assert_int_eq(log_descriptor(), fd);
        log_info("still here");
        char *text = line();
        ck_assert_ptr_nonnull(strstr(text, "still here"));
        free(text);
    }
    clean_up();
}
END_TEST

START_TEST(log_to_standard_error_and_syslog_needs_no_reopening)
{
    ck_assert(log_open(&(struct log_target){"stderr", LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
    ck_assert_int_eq(log_descriptor(), STDERR_FILENO);
    ck_assert(log_reopen(&error));
    ck_assert_int_eq(log_descriptor(), STDERR_FILENO);
    ck_assert(
        log_open(&(struct log_target){"syslog:local3", LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
    ck_assert_int_eq(log_descriptor(), -1);
    ck_assert(log_reopen(&error));
    ck_assert_int_eq(log_descriptor(), -1);
    log_info("a line that nobody may be there to take");
    log_in_child();
    log_info("another");
    ck_assert(log_open(&(struct log_target){"stderr", LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
}
END_TEST

START_TEST(log_that_nobody_reads_does_not_hold_up_the_process)
{
    int fds[2];

    start(LOG_INFO_LEVEL, LOG_FORMAT_TEXT);
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    log_adopt(fds[1]);
    for (unsigned i = 0; i < 5000; i++)
        log_info("a line of some length, written again and again, until the pipe is full");
    char buffer[100];
    ck_assert_int_eq(read(fds[0], buffer, sizeof(buffer)), sizeof(buffer));
    close(fds[0]);
    clean_up();
}
END_TEST

/* ---- Reopening ---- */

START_TEST(log_reopen_goes_on_in_a_new_file)
{
    start(LOG_INFO_LEVEL, LOG_FORMAT_TEXT);
    int fd = log_descriptor();
    log_info("first");
    ck_assert_int_eq(rename(path, moved), 0);
    log_info("second");
    ck_assert(log_reopen(&error));
    ck_assert_int_eq(log_descriptor(), fd);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    log_info("third");
    struct text old = contents(moved), new = contents(path);
    ck_assert_ptr_nonnull(strstr(old.data, "first"));
    ck_assert_ptr_nonnull(strstr(old.data, "second"));
    ck_assert_ptr_null(strstr(old.data, "third"));
    ck_assert_ptr_nonnull(strstr(new.data, "third"));
    text_free(&old);
    text_free(&new);

    /* When it cannot be reopened, the old file goes on. */
    ck_assert_int_eq(unlink(moved), 0);
    ck_assert_int_eq(rename(path, moved), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert(!log_reopen(&error));
    ck_assert_ptr_nonnull(strstr(error.text, path));
    log_info("fourth");
    old = contents(moved);
    ck_assert_ptr_nonnull(strstr(old.data, "fourth"));
    text_free(&old);
    rmdir(path);
    clean_up();
}
END_TEST

#define LINES 20000u

static _Atomic bool writing;
static _Atomic unsigned rotated_files;

static void *write_lines(void *context)
{
    (void)context;
    for (unsigned i = 0; i < LINES; i++) {
        /* However late the other thread is: some of the files are taken away from under this one.
         */
        while (i == LINES / 2 && rotated_files < 2)
            sched_yield();
        log_info("line %u.", i);
    }
    writing = false;
    return NULL;
}

/* Collects the numbers of the lines in a file; each must be whole. */
static unsigned collect(const char *file, unsigned char *seen)
{
    struct text text = contents(file);
    unsigned count = 0;

    for (char *at = text.data; at != NULL && *at != '\0';) {
        char *end = strchr(at, '\n');
        unsigned number;
        char dot;
        must(end != NULL);
        *end = '\0';
        const char *message = strstr(at, ": line ");
        must(message != NULL && sscanf(message, ": line %u%c", &number, &dot) == 2);
        must(dot == '.' && number < LINES && !seen[number]);
        seen[number] = 1;
        count++;
        at = end + 1;
    }
    text_free(&text);
    return count;
}

START_TEST(log_reopen_loses_no_line_of_another_thread)
{
    static unsigned char seen[LINES];
    char rotated[128];
    unsigned files = 0, lines = 0;
    pthread_t writer;

    start(LOG_INFO_LEVEL, LOG_FORMAT_TEXT);
    writing = true;
    ck_assert_int_eq(pthread_create(&writer, NULL, write_lines, NULL), 0);
    while (writing && files < 500) {
        snprintf(rotated, sizeof(rotated), "%s/log.%u", directory, files++);
        must(rename(path, rotated) == 0);
        must(log_reopen(&error));
        rotated_files = files;
    }
    ck_assert_int_eq(pthread_join(writer, NULL), 0);
    for (unsigned i = 0; i < files; i++) {
        snprintf(rotated, sizeof(rotated), "%s/log.%u", directory, i);
        lines += collect(rotated, seen);
        unlink(rotated);
    }
    lines += collect(path, seen);
    ck_assert_uint_eq(lines, LINES);
    ck_assert_uint_gt(files, 1);
    clean_up();
}
END_TEST

START_TEST(log_lines_of_several_processes_do_not_mix)
{
    enum { PROCESSES = 4, EACH = 2000 };
    unsigned counts[PROCESSES] = {0};
    struct text text;

    start(LOG_INFO_LEVEL, LOG_FORMAT_TEXT);
    for (int p = 0; p < PROCESSES; p++) {
        if (fork() == 0) {
            char name[32], padding[200];
            snprintf(name, sizeof(name), "process %d", p);
            log_identity(name);
            memset(padding, 'a' + p, sizeof(padding));
            for (unsigned i = 0; i < EACH; i++)
                log_info("%.*s", (int)(i % sizeof(padding)), padding);
            _exit(0);
        }
    }
    for (int p = 0; p < PROCESSES; p++)
        ck_assert_int_gt(wait(NULL), 0);
    text = contents(path);
    for (char *at = strtok(text.data, "\n"); at != NULL; at = strtok(NULL, "\n")) {
        int p, pid, end = 0;
        must(sscanf(at, "%*s [info] process %d %d: %n", &p, &pid, &end) == 2 && p < PROCESSES);
        must(strspn(at + end, (char[]){(char)('a' + p), '\0'}) == counts[p] % 200);
        counts[p]++;
    }
    for (int p = 0; p < PROCESSES; p++)
        ck_assert_uint_eq(counts[p], EACH);
    text_free(&text);
    clean_up();
}
END_TEST

START_TEST(log_adopt_takes_the_place_and_closes_its_own)
{
    start(LOG_INFO_LEVEL, LOG_FORMAT_TEXT);
    int fd = log_descriptor();
    int other = open(moved, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    log_adopt(other);
    ck_assert_int_eq(log_descriptor(), fd);
    ck_assert_int_lt(fcntl(other, F_GETFD), 0);
    log_info("adopted");
    nothing();
    struct text text = contents(moved);
    ck_assert_ptr_nonnull(strstr(text.data, "adopted"));
    text_free(&text);
    clean_up();
}
END_TEST

UNIT_MAIN("log", log_text_line_has_time_level_and_process,
          log_fields_have_names_that_can_be_told_apart, log_fields_are_members_of_their_own_in_json,
          log_json_line_is_an_object, log_lines_cannot_be_forged,
          log_lines_hold_nothing_that_a_terminal_obeys, log_line_that_is_too_long_is_cut,
          log_identity_that_is_too_long_is_cut, log_level_drops_lesser_messages,
          log_that_cannot_be_opened_leaves_the_old_one,
          log_to_standard_error_and_syslog_needs_no_reopening,
          log_that_nobody_reads_does_not_hold_up_the_process, log_reopen_goes_on_in_a_new_file,
          log_reopen_loses_no_line_of_another_thread, log_lines_of_several_processes_do_not_mix,
          log_adopt_takes_the_place_and_closes_its_own)
