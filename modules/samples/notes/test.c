/* The sample notes, called by <pillion/test.h>. */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../check_main.h"

#define METHODS "method notes.add; method notes.get; method notes.list; method notes.search;"

/* Starts the module with a database of this test's own. */
static const char *start(char file[64])
{
    static char text[256];

    snprintf(file, 64, "/tmp/pillion-notes-%d.db", (int)getpid());
    snprintf(text, sizeof(text),
             "pool notes threads=2 queue=10; load_module ./notes.so pool=notes { file %s; }", file);
    return pillion_test_start(text, METHODS);
}

static void stop(const char *file)
{
    char beside[80];

    ck_assert(pillion_test_stop());
    unlink(file);
    for (int i = 0; i < 2; i++) {
        snprintf(beside, sizeof(beside), "%s%s", file, i == 0 ? "-wal" : "-shm");
        unlink(beside);
    }
}

START_TEST(notes_are_kept_and_found)
{
    char file[64];

    ck_assert_pstr_eq(start(file), NULL);
    ck_assert_result("notes.add", "{\"title\":\"Milk\",\"body\":\"two \\\"litres\\\"\"}",
                     "{\"id\":1}");
    ck_assert_result("notes.add", "{\"title\":\"Tea\"}", "{\"id\":2}");
    ck_assert_result("notes.get", "{\"id\":1}",
                     "{\"id\":1,\"title\":\"Milk\",\"body\":\"two \\\"litres\\\"\"}");
    ck_assert_result("notes.list", "{\"after\":1}", "[{\"id\":2,\"title\":\"Tea\",\"body\":\"\"}]");
    ck_assert_result("notes.search", "{\"text\":\"ea\"}",
                     "[{\"id\":2,\"title\":\"Tea\",\"body\":\"\"}]");
    ck_assert_result("notes.search", "{\"text\":\"coffee\"}", "[]");
    ck_assert_error("notes.get", "{\"id\":3}", "no_such_note");
    stop(file);
}
END_TEST

START_TEST(the_table_refuses_what_it_does_not_say)
{
    char file[64];

    ck_assert_pstr_eq(start(file), NULL);
    ck_assert_str_eq(pillion_test_call("notes.add", "{\"title\":\"\",\"text\":1}").message,
                     "params.title: a string of 1 to 200 characters, got 0 characters; "
                     "params.text: there is no param of this name");
    ck_assert_error("notes.add", "{\"title\":\"a\\u0000b\"}", "invalid_params");
    ck_assert_error("notes.get", "{\"id\":0.5}", "invalid_params");
    ck_assert_error("notes.list", "{\"most\":1001}", "invalid_params");
    ck_assert_result("notes.list", "{}", "[]");
    stop(file);
}
END_TEST

START_TEST(a_file_that_cannot_be_used_is_told_at_its_directive)
{
    const char *fault = pillion_test_start("load_module ./notes.so { file /none/notes.db; }", "");

    ck_assert_ptr_nonnull(fault);
    ck_assert_ptr_nonnull(strstr(fault, "cannot use /none/notes.db: unable to open"));
    ck_assert_ptr_nonnull(strstr(fault, "| load_module ./notes.so { file /none/notes.db; }"));
}
END_TEST

static void wait_given_up(int64_t count)
{
    for (int i = 0; i < 20000 && pillion_test_metric("notes", "given_up") < count; i++)
        pillion_test_run(1);
    ck_assert_int_eq(pillion_test_metric("notes", "given_up"), count);
}

START_TEST(what_nobody_waits_for_is_given_up)
{
    char file[64];
    sqlite3 *other;

    ck_assert_pstr_eq(start(file), NULL);
    ck_assert_int_eq(sqlite3_open(file, &other), SQLITE_OK);
    /* Another connection writes: adding waits for it, reading does not. */
    ck_assert_int_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    unsigned waiting = pillion_test_begin("{\"in\":\"notes.add\",\"params\":{\"title\":\"late\"}}");
    ck_assert_result("notes.list", "{}", "[]");
    ck_assert(!pillion_test_answered(waiting));
    pillion_test_leave(waiting);
    wait_given_up(1);
    ck_assert_int_eq(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    ck_assert_result("notes.list", "{}", "[]");

    /* A table of endlessly many notes, none of which has the text. */
    ck_assert_int_eq(sqlite3_exec(other,
                                  "DROP TABLE note;"
                                  "CREATE VIEW note AS WITH RECURSIVE many(id, title, body) AS"
                                  " (SELECT 1, '', '' UNION ALL SELECT id + 1, '', '' FROM many)"
                                  " SELECT * FROM many",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    unsigned searching =
        pillion_test_begin("{\"in\":\"notes.search\",\"params\":{\"text\":\"x\"}}");
    pillion_test_run(20);
    ck_assert(!pillion_test_answered(searching));
    pillion_test_leave(searching);
    wait_given_up(2);
    sqlite3_close(other);
    stop(file);
}
END_TEST

SAMPLE_TESTS("notes", notes_are_kept_and_found, the_table_refuses_what_it_does_not_say,
             a_file_that_cannot_be_used_is_told_at_its_directive, what_nobody_waits_for_is_given_up)
