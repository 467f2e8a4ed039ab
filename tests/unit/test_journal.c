/* The journal on the board: what is kept, in which order, and that readers see whole events while
 * they are written. */
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "rpc/journal.h"

static struct journal journal;

static uint64_t add(enum journal_kind kind, const char *method, const char *text)
{
    struct journal_event event = {.kind = kind, .pid = 7, .generation = 3};

    snprintf(event.method, sizeof(event.method), "%s", method);
    snprintf(event.text, sizeof(event.text), "%s", text);
    journal_add(&journal, &event);
    return event.id;
}

START_TEST(events_are_read_in_their_order_and_from_any_on)
{
    struct journal_event event;
    uint64_t now = clock_wall_ms();

    ck_assert(!journal_next(&journal, 0, &event));
    uint64_t first = add(JOURNAL_STARTED, "", "generation 1 serves");
    ck_assert_uint_ge(first, now); /* so that another server's ids come behind this one's */
    ck_assert_uint_eq(add(JOURNAL_CRASH, "pay", "it died"), first + 1);
    ck_assert(journal_next(&journal, 0, &event));
    ck_assert_uint_eq(event.id, first);
    ck_assert_uint_eq(event.kind, JOURNAL_STARTED);
    ck_assert(journal_next(&journal, first, &event));
    ck_assert_uint_eq(event.id, first + 1);
    ck_assert_str_eq(event.method, "pay");
    ck_assert_str_eq(event.text, "it died");
    ck_assert(event.pid == 7 && event.generation == 3);
    ck_assert_uint_ge(event.at_ms, now);
    ck_assert(!journal_next(&journal, first + 1, &event));
    /* Another server's: the clock was set back before this one was started. */
    ck_assert(journal_next(&journal, first + 100, &event));
    ck_assert_uint_eq(event.id, first);
}
END_TEST

START_TEST(the_last_ones_are_kept)
{
    struct journal_event event = {0};
    uint64_t last = 0;
    unsigned count = 0;

    for (unsigned i = 0; i < JOURNAL_KEPT * 2 + 5; i++)
        last = add(JOURNAL_RELOAD, "", "again");
    while (journal_next(&journal, event.id, &event)) {
        if (count++ == 0)
            ck_assert_uint_eq(event.id, last - JOURNAL_KEPT + 1);
    }
    ck_assert_uint_eq(count, JOURNAL_KEPT);
    ck_assert_uint_eq(event.id, last);
}
END_TEST

START_TEST(every_kind_has_a_name_of_its_own_and_unknown_ones_have_one)
{
    for (uint32_t a = 0; a < JOURNAL_KINDS; a++) {
        ck_assert_ptr_nonnull(journal_kind_name(a));
        for (uint32_t b = 0; b < a; b++)
            ck_assert_str_ne(journal_kind_name(a), journal_kind_name(b));
    }
    ck_assert_str_eq(journal_kind_name(JOURNAL_KINDS), "event");
    ck_assert_int_eq(journal_kind_level(UINT32_MAX), LOG_NOTICE_LEVEL);
    ck_assert_int_eq(journal_kind_level(JOURNAL_CRASH), LOG_ERROR_LEVEL);
}
END_TEST

START_TEST(texts_are_cut_between_characters_and_fit_for_a_terminal)
{
    struct journal_event event = {.kind = JOURNAL_CRASH};
    char wanted[sizeof(event.text)];

    memset(event.text, 'x', sizeof(event.text));
    memcpy(event.method, "a\x1b[2J", 6);
    memset(event.module, 'm', sizeof(event.module)); /* without an end */
    journal_add(&journal, &event);
    ck_assert(journal_next(&journal, event.id - 1, &event));
    memset(wanted, 'x', sizeof(wanted));
    wanted[sizeof(wanted) - 1] = '\0';
    ck_assert_str_eq(event.text, wanted);
    ck_assert_str_eq(event.method, "a\\u001b[2J");
    ck_assert_uint_eq(strlen(event.module), sizeof(event.module) - 1);

    snprintf(event.text, sizeof(event.text), "one\ntwo");
    journal_add(&journal, &event);
    ck_assert_str_eq(event.text, "one two");
    /* An escape makes the text longer than the room: the last character, of two bytes, is left
     * out as a whole. */
    memset(event.text, 'x', sizeof(event.text));
    event.text[0] = '\x01';
    memcpy(event.text + sizeof(event.text) - 7, "\xc3\xa9yyyy", 7);
    journal_add(&journal, &event);
    ck_assert_uint_eq(strlen(event.text), sizeof(event.text) - 2);
    ck_assert_int_eq(event.text[strlen(event.text) - 1], 'x');
}
END_TEST

START_TEST(an_event_is_a_line_of_json)
{
    struct journal_event event = {.kind = JOURNAL_QUARANTINE, .pid = 12, .generation = 4};
    struct text out = {0};

    snprintf(event.method, sizeof(event.method), "say \"%s\"", "hi");
    snprintf(event.text, sizeof(event.text), "\"x\" is out");
    journal_add(&journal, &event);
    journal_append(&event, &out);
    ck_assert_int_eq(text_string(&out)[out.size - 1], '\n');
    cJSON *item = cJSON_Parse(text_string(&out));
    ck_assert_ptr_nonnull(item);
    ck_assert_str_eq(cJSON_GetObjectItem(item, "kind")->valuestring, "quarantine");
    ck_assert_str_eq(cJSON_GetObjectItem(item, "level")->valuestring, "error");
    ck_assert_str_eq(cJSON_GetObjectItem(item, "method")->valuestring, "say \"hi\"");
    ck_assert(cJSON_IsNull(cJSON_GetObjectItem(item, "module")));
    ck_assert_str_eq(cJSON_GetObjectItem(item, "text")->valuestring, "\"x\" is out");
    ck_assert_int_eq(cJSON_GetObjectItem(item, "pid")->valueint, 12);
    ck_assert_double_eq(cJSON_GetObjectItem(item, "id")->valuedouble, (double)event.id);
    cJSON_Delete(item);
    text_free(&out);
}
END_TEST

START_TEST(another_binary_with_another_board_goes_on_with_the_events)
{
    static struct journal next;
    struct journal_event event, same;

    uint64_t first = add(JOURNAL_STARTED, "", "one");
    add(JOURNAL_CRASH, "pay", "two");
    cJSON *list = journal_write(&journal);
    cJSON_AddItemToArray(list, cJSON_CreateString("no event"));
    journal_read(&next, list);
    journal_read(&next, NULL); /* an older binary writes none */
    for (uint64_t id = first; id <= first + 1; id++) {
        ck_assert(journal_next(&journal, id - 1, &event) && journal_next(&next, id - 1, &same));
        ck_assert_mem_eq(&event, &same, sizeof(event));
    }
    ck_assert_uint_eq(journal_last(&next), first + 1);
    cJSON_Delete(list);
}
END_TEST

/* ---- While it is written ---- */

static _Atomic bool over;

static void *write_on(void *data)
{
    struct journal_event event = {0};

    (void)data;
    for (unsigned i = 0; i < 20000; i++) {
        char letter = (char)('a' + i % 26);
        memset(event.text, letter, sizeof(event.text) - 1);
        memset(event.method, letter, sizeof(event.method) - 1);
        event.generation = i % 26;
        journal_add(&journal, &event);
    }
    atomic_store(&over, true);
    return NULL;
}

START_TEST(a_reader_sees_whole_events_while_others_are_written)
{
    struct journal_event event = {0};
    pthread_t writer;
    unsigned seen = 0;

    ck_assert_int_eq(pthread_create(&writer, NULL, write_on, NULL), 0);
    while (!atomic_load(&over)) {
        uint64_t before = event.id;
        if (!journal_next(&journal, before, &event))
            continue;
        seen++;
        ck_assert_uint_gt(event.id, before);
        const char letters[] = {(char)('a' + event.generation), '\0'};
        ck_assert_uint_eq(strspn(event.text, letters), sizeof(event.text) - 1);
        ck_assert_uint_eq(strspn(event.method, letters), sizeof(event.method) - 1);
    }
    pthread_join(writer, NULL);
    ck_assert_uint_gt(seen, 0);
}
END_TEST

UNIT_MAIN("journal", events_are_read_in_their_order_and_from_any_on, the_last_ones_are_kept,
          every_kind_has_a_name_of_its_own_and_unknown_ones_have_one,
          texts_are_cut_between_characters_and_fit_for_a_terminal, an_event_is_a_line_of_json,
          another_binary_with_another_board_goes_on_with_the_events,
          a_reader_sees_whole_events_while_others_are_written)
