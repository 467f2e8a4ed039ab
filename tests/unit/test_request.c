/* What requests and replies promise to handlers: see core/rpc/request.h and <pillion/module.h>.
 * Where replies go is a piece of memory here. */
#include "unit.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "must.h"
#include "rpc/introspect.h"
#include "rpc/request.h"
#include "rpc/run.h"
#include "wire/frame.h"

static struct pillion_instance instance = {
    .name = "toy", .version = "1", .worker = 3, .worker_count = 4, .generation = 7};
static struct pool pool;
static struct pillion_request request;
static char sink[1 << 20];
static size_t sink_size;
static unsigned reserved;
static unsigned sink_full; /* how often there is no memory for a reply */
static char log_path[64];
static uint64_t max_reply = 1000;
static enum envelope_format format;
static bool notifies;

static char *sink_reserve(struct pillion_request *req, size_t size)
{
    must(req == &request);
    must(reserved++ <= sink_full); /* once more than that at most */
    must(size <= sizeof(sink));
    sink_size = size;
    return reserved <= sink_full ? NULL : sink;
}

static const char *sink_peer(const struct pillion_request *req)
{
    must(req == &request);
    return "192.0.2.1:5";
}

/* Runs a handler on these params. The reply is in the sink. */
static void run(pillion_handler handler, const char *params)
{
    /* A method for each: the log does not tell of one for ever. */
    static struct method methods[1000];
    static unsigned count;
    struct method *method = &methods[count++ % 1000];

    *method = (struct method){
        .name = BYTES("toy.public"), .handler = handler, .instance = &instance, .own_name = "own"};
    request = (struct pillion_request){.method = method,
                                       .params = bytes_of(params),
                                       .id = BYTES("\"i\""),
                                       .pool = &pool,
                                       .reserve = sink_reserve,
                                       .peer = sink_peer,
                                       .max_reply = max_reply,
                                       .format = (uint8_t)format,
                                       .notifies = notifies};
    reserved = 0;
    sink_size = 0;
    request_run(&request);
    ck_assert(request.answered);
    ck_assert_uint_eq(reserved, 1 + sink_full);
    pool_reset(&pool);
}

/* The reply's body as a string. */
static const char *body(void)
{
    static char text[1 << 16];
    struct frame frame;

    ck_assert_int_eq(frame_next((struct bytes){sink, sink_size}, UINT32_MAX, &frame), FRAME_WHOLE);
    ck_assert_uint_eq(frame.size, sink_size);
    ck_assert_uint_lt(frame.body.size, sizeof(text));
    memcpy(text, frame.body.data, frame.body.size);
    text[frame.body.size] = '\0';
    return text;
}

static void replied(const char *expected)
{
    ck_assert_str_eq(body(), expected);
    ck_assert(!request.failed);
}

static void failed(const char *code, const char *words)
{
    const char *text = body();
    char start[128];

    snprintf(start, sizeof(start), "{\"out\":\"error\",\"result\":{\"code\":\"%s\",\"message\":\"",
             code);
    ck_assert_msg(strncmp(text, start, strlen(start)) == 0, "%s", text);
    ck_assert_msg(strstr(text, words) != NULL, "%s", text);
    ck_assert_str_eq(text + strlen(text) - 12, "\"},\"id\":\"i\"}");
    ck_assert(request.failed);
}

/* What was logged since the last call. */
static const char *logged(void)
{
    static char text[8192];
    int fd = open(log_path, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, text, sizeof(text) - 1);

    ck_assert_int_ge(size, 0);
    text[size] = '\0';
    close(fd);
    ck_assert_int_eq(truncate(log_path, 0), 0);
    return text;
}

static void setup(void)
{
    struct error error;

    snprintf(log_path, sizeof(log_path), "/tmp/pillion-request-XXXXXX");
    int fd = mkstemp(log_path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert(log_open(&(struct log_target){log_path, LOG_INFO_LEVEL, LOG_FORMAT_TEXT}, &error));
    request_install_cjson_hooks();
}

static void clean_up(void)
{
    pool_free(&pool);
    unlink(log_path);
}

/* ---- Answers ---- */

static void raw_params(pillion_request *req)
{
    pillion_reply_raw(req, "pong", pillion_params_raw(req));
}

static void raw_copy(pillion_request *req)
{
    pillion_bytes params = pillion_params_raw(req);
    char *copy = pillion_alloc(req, params.size);
    memcpy(copy, params.data, params.size);
    pillion_reply_raw(req, "pong", (pillion_bytes){copy, params.size});
}

START_TEST(raw_reply_is_byte_for_byte)
{
    static const char *const values[] = {"null",
                                         "9007199254740993",
                                         "1e400",
                                         "[ 1 ]",
                                         "\"\\ud800\"",
                                         "0.1000000000000000055",
                                         "{\"a\":\"\xc3\xa9\\u0000\"}"};
    char expected[256];

    setup();
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        snprintf(expected, sizeof(expected), "{\"out\":\"pong\",\"result\":%s,\"id\":\"i\"}",
                 values[i]);
        run(raw_params, values[i]);
        replied(expected);
        run(raw_copy, values[i]);
        replied(expected);
    }
    ck_assert_str_eq(logged(), "");
    clean_up();
}
END_TEST

static void tree_reply(pillion_request *req)
{
    const cJSON *params = pillion_params(req);
    cJSON *result = cJSON_CreateObject();

    must(params != NULL && pillion_params(req) == params); /* parsed once */
    cJSON_AddItemToObject(result, "twice", cJSON_CreateNumber(params->valuedouble * 2));
    cJSON_AddItemToObject(result, "copy", cJSON_Duplicate(params, true));
    cJSON_AddStringToObject(result, "text", "a \"b\"");
    pillion_reply(req, "done", result);
}

START_TEST(tree_reply_is_printed_and_freed)
{
    setup();
    run(tree_reply, "21");
    replied("{\"out\":\"done\",\"result\":{\"twice\":42,\"copy\":21,\"text\":\"a \\\"b\\\"\"},"
            "\"id\":\"i\"}");
    clean_up();
}
END_TEST

static void fail_with_words(pillion_request *req)
{
    pillion_fail(req, PILLION_INVALID_PARAMS, "not \"%s\", but %d", "this", 42);
}

static void fail_without_a_code(pillion_request *req)
{
    pillion_fail(req, NULL, "%s", "");
}

static void fail_at_length(pillion_request *req)
{
    static char text[5000];
    memset(text, '\x01', sizeof(text) - 1); /* each becomes six */
    pillion_fail(req, "my_code", "%s", text);
}

START_TEST(failures_have_code_and_message)
{
    setup();
    run(fail_with_words, "1");
    failed("invalid_params", "not \\\"this\\\", but 42");
    run(fail_without_a_code, "1");
    failed("internal_error", "\"\"");
    run(fail_at_length, "1");
    failed("my_code", "\\u0001\\u0001");
    ck_assert_uint_lt(sink_size, 10000);
    max_reply = 1 << 20;
    run(fail_at_length, "1");
    failed("my_code", "\\u0001\\u0001");
    ck_assert_uint_gt(sink_size, 4999 * 6); /* all of it */
    pool.limit = 20000;                     /* no memory for that: cut, and not lost */
    run(fail_at_length, "1");
    failed("my_code", "\\u0001\\u0001");
    pool.limit = 0;
    max_reply = 1000;
    clean_up();
}
END_TEST

static pillion_bytes raw;
static const char *raw_code;

static void fail_raw(pillion_request *req)
{
    pillion_fail_raw(req, raw_code, raw);
}

START_TEST(raw_failures_are_byte_for_byte)
{
    static const char *const results[] = {
        "{\"code\":\"x\",\"message\":\"\\u00e9\\u0000\\/\",\"data\":[1e400, 1.0]}", "5", "null"};
    char expected[256];

    setup();
    for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
        raw = (pillion_bytes){results[i], strlen(results[i])};
        snprintf(expected, sizeof(expected), "{\"out\":\"error\",\"result\":%s,\"id\":\"i\"}",
                 results[i]);
        raw_code = i == 2 ? NULL : "mine";
        run(fail_raw, "1");
        ck_assert_str_eq(body(), expected);
        ck_assert(request.failed);
        ck_assert_str_eq(pillion_error_code(&request), i == 2 ? "internal_error" : "mine");
    }
    ck_assert_str_eq(logged(), "");
    raw = (pillion_bytes){"{\"code\":1,}", 11};
    raw_code = "mine";
    run(fail_raw, "1");
    failed("internal_error", "invalid JSON");
    ck_assert_str_eq(pillion_error_code(&request), "internal_error");
    ck_assert_ptr_nonnull(strstr(logged(), "module toy: \"own\""));
    char large[1000] = "1";
    memset(large + 1, ' ', sizeof(large) - 1);
    raw = (pillion_bytes){large, sizeof(large)};
    run(fail_raw, "1");
    failed("internal_error", "at most 1000 can be sent");
    ck_assert_str_eq(pillion_error_code(&request), "internal_error");
    clean_up();
}
END_TEST

static void no_answer(pillion_request *req)
{
    (void)req;
}

START_TEST(no_answer_is_an_internal_error)
{
    setup();
    run(no_answer, "1");
    failed("internal_error", "the method gave no answer");
    const char *text = logged();
    ck_assert_msg(strstr(text, "[error]") && strstr(text, "module toy") && strstr(text, "\"own\""),
                  "%s", text);
    clean_up();
}
END_TEST

/* Each pair of kinds of answer: the first counts. */
static unsigned first_kind, second_kind;

static void answer(pillion_request *req, unsigned kind)
{
    switch (kind) {
    case 0:
        pillion_reply(req, "tree", cJSON_CreateTrue());
        break;
    case 1:
        pillion_reply_raw(req, "raw", (pillion_bytes){"1", 1});
        break;
    case 2:
        pillion_fail(req, "code", "words");
        break;
    case 3:
        pillion_reply(req, "tree", NULL);
        break;
    case 4:
        pillion_fail_raw(req, "code", (pillion_bytes){"{}", 2});
        break;
    default:
        pillion_reply_raw(req, "raw", (pillion_bytes){"[", 1});
        break;
    }
}

static void answer_twice(pillion_request *req)
{
    answer(req, first_kind);
    answer(req, second_kind);
    answer(req, second_kind);
}

START_TEST(second_answers_are_logged_and_dropped)
{
    static const char *const starts[] = {"{\"out\":\"tree\"",  "{\"out\":\"raw\"",
                                         "{\"out\":\"error\"", "{\"out\":\"error\"",
                                         "{\"out\":\"error\"", "{\"out\":\"error\""};

    setup();
    for (first_kind = 0; first_kind < 6; first_kind++) {
        for (second_kind = 0; second_kind < 6; second_kind++) {
            run(answer_twice, "1");
            ck_assert_msg(strncmp(body(), starts[first_kind], strlen(starts[first_kind])) == 0,
                          "%s", body());
            ck_assert(request.failed == (first_kind >= 2));
            const char *text = logged();
            ck_assert_msg(strstr(text, "a second time") != NULL, "%s", text);
            ck_assert_ptr_nonnull(strstr(text, "module toy: \"own\""));
        }
    }
    clean_up();
}
END_TEST

/* ---- Replies that cannot be sent ---- */

static void null_reply(pillion_request *req)
{
    pillion_reply(req, "out", NULL);
}

static void raw_bytes(pillion_request *req)
{
    pillion_reply_raw(req, "out", raw);
}

static void broken_raw(pillion_request *req)
{
    pillion_reply(req, "out", cJSON_CreateRaw("{\"broken\":"));
}

static void wrong_utf8(pillion_request *req)
{
    pillion_reply(req, "out", cJSON_CreateString("\xff"));
}

START_TEST(replies_that_are_no_json_become_internal_errors)
{
    static const pillion_bytes texts[] = {{NULL, 0},
                                          {"", 0},
                                          {"{", 1},
                                          {"1 2", 3},
                                          {"01", 2},
                                          {"nul", 3},
                                          {"\"\xff\"", 3},
                                          {"\"\n\"", 3},
                                          {"[1,]", 4},
                                          {"{\"a\" 1}", 7},
                                          {"1\0", 2},
                                          {"\xef\xbb\xbf"
                                           "1",
                                           4}};

    setup();
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        raw = texts[i];
        run(raw_bytes, "1");
        failed("internal_error", "\\\"own\\\" replied with invalid JSON (module toy): ");
        failed("internal_error", " of the result");
        const char *text = logged();
        ck_assert_msg(strstr(text, "module toy: \"own\" replied with bytes that are not valid") !=
                          NULL,
                      "%s", text);
    }
    run(broken_raw, "1");
    failed("internal_error", "invalid JSON");
    run(wrong_utf8, "1");
    failed("internal_error", "invalid JSON");
    run(null_reply, "1");
    failed("internal_error", "no memory to build the reply");
    clean_up();
}
END_TEST

static const char *out_name;

static void named_reply(pillion_request *req)
{
    pillion_reply_raw(req, out_name, (pillion_bytes){"1", 1});
}

START_TEST(out_may_be_any_text)
{
    setup();
    out_name = "";
    run(named_reply, "1");
    replied("{\"out\":\"\",\"result\":1,\"id\":\"i\"}");
    out_name = "\"\n\xc3\xa9";
    run(named_reply, "1");
    replied("{\"out\":\"\\\"\\n\xc3\xa9\",\"result\":1,\"id\":\"i\"}");
    out_name = "\xff";
    run(named_reply, "1");
    failed("internal_error", "not UTF-8");
    ck_assert_ptr_nonnull(strstr(logged(), "module toy: \"own\""));
    out_name = NULL;
    run(named_reply, "1");
    failed("internal_error", "a name that is NULL");
    clean_up();
}
END_TEST

static size_t wanted;

static void sized_reply(pillion_request *req)
{
    char *text = pillion_alloc(req, wanted);
    memset(text, ' ', wanted);
    text[0] = '1';
    pillion_reply_raw(req, "x", (pillion_bytes){text, wanted});
}

START_TEST(reply_larger_than_allowed_is_refused)
{
    const size_t around =
        sizeof("{\"out\":\"x\",\"result\":,\"id\":\"i\"}") - 1 + FRAME_HEADER_SIZE;

    setup();
    wanted = 1000 - around; /* the frame with its header */
    run(sized_reply, "1");
    ck_assert(!request.failed);
    ck_assert_uint_eq(sink_size, 1000);
    wanted++;
    run(sized_reply, "1");
    failed("internal_error", "the reply has 1001 bytes; at most 1000 can be sent");
    ck_assert_ptr_nonnull(strstr(logged(), "module toy: \"own\" replied with 1001 bytes"));
    clean_up();
}
END_TEST

START_TEST(a_reply_without_memory_becomes_an_error)
{
    setup();
    sink_full = 1;
    run(raw_params, "1");
    failed("internal_error", "out of memory for a reply of 38 bytes");
    ck_assert_str_eq(request.code, "internal_error");
    ck_assert_ptr_nonnull(strstr(logged(), "module toy: out of memory for a reply of 38 bytes"));
    sink_full = 0;
    clean_up();
}
END_TEST

/* Whoever takes the worker's connections over answers. */
START_TEST(without_memory_for_an_error_the_process_ends)
{
    int status;

    setup();
    sink_full = 2;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        run(raw_params, "1");
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 70);
    ck_assert_ptr_nonnull(strstr(logged(), "out of memory: the worker ends"));
    sink_full = 0;
    clean_up();
}
END_TEST

/* ---- Params as a tree ---- */

static void tree_in_pool(pillion_request *req)
{
    const cJSON *params = pillion_params(req);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(params, "list");

    must(pool_owns(req->pool, params));
    must(pool_owns(req->pool, list) && pool_owns(req->pool, list->string));
    must(pool_owns(req->pool, list->child->valuestring));
    /* None of this frees or keeps anything of the request's. */
    cJSON_Delete(cJSON_DetachItemFromObject((cJSON *)(uintptr_t)params, "list"));
    cJSON_Delete((cJSON *)(uintptr_t)params);
    cJSON_Delete((cJSON *)(uintptr_t)pillion_params(req));
    pillion_reply(req, "done", cJSON_CreateNull());
}

static void tree_into_reply(pillion_request *req)
{
    cJSON *result = cJSON_CreateArray();
    /* Said to be wrong, and done all the same. */
    cJSON_AddItemToArray(result, (cJSON *)(uintptr_t)pillion_params(req));
    pillion_reply(req, "done", result);
}

static void tree_changed(pillion_request *req)
{
    cJSON *params = (cJSON *)(uintptr_t)pillion_params(req);
    cJSON_AddNumberToObject(params, "more", 5);
    char *text = cJSON_PrintUnformatted(params);
    must(!pool_owns(req->pool, text));
    pillion_reply_raw(req, "done", (pillion_bytes){text, strlen(text)});
    cJSON_free(text);
    cJSON_Delete(cJSON_DetachItemFromObject(params, "more"));
}

START_TEST(tree_of_params_is_the_requests_own)
{
    setup();
    for (unsigned i = 0; i < 100; i++) {
        run(tree_in_pool, "{\"list\":[\"a\",\"b\"],\"n\":1}");
        replied("{\"out\":\"done\",\"result\":null,\"id\":\"i\"}");
        run(tree_into_reply, "{\"list\":[\"a\",\"b\"],\"n\":1}");
        replied("{\"out\":\"done\",\"result\":[{\"list\":[\"a\",\"b\"],\"n\":1}],\"id\":\"i\"}");
        run(tree_changed, "{\"n\":1}");
        replied("{\"out\":\"done\",\"result\":{\"n\":1,\"more\":5},\"id\":\"i\"}");
    }
    clean_up();
}
END_TEST

static void wants_tree(pillion_request *req)
{
    const cJSON *params = pillion_params(req);

    must(pillion_params(req) == params);
    if (params != NULL)
        pillion_reply(req, "done", cJSON_CreateTrue());
}

static void has_own_words(pillion_request *req)
{
    if (pillion_params(req) == NULL)
        pillion_fail(req, "my_code", "own words");
}

START_TEST(params_that_cannot_be_a_tree_are_invalid)
{
    setup();
    run(wants_tree, "\"\\ud800\"");
    failed("invalid_params", "unpaired surrogate");
    ck_assert_str_eq(logged(), "");
    /* Nor is there a tree with a string that is cut short, or with a name that is another then. */
    run(wants_tree, "[\"a\\u0000b\"]");
    failed("invalid_params", "\\u0000");
    run(wants_tree, "{\"a\\u0000\":1}");
    failed("invalid_params", "\\u0000");
    run(wants_tree, "\"a\\\\u0000\""); /* a backslash, and no NUL */
    replied("{\"out\":\"done\",\"result\":true,\"id\":\"i\"}");
    run(has_own_words, "[\"\\udc00\"]");
    failed("my_code", "own words");
    /* As does a pool that is too small. */
    pool.limit = 2000;
    struct text large = {0};
    text_append_char(&large, '[');
    for (unsigned i = 0; i < 200; i++)
        text_append_string(&large, "1,");
    text_append_string(&large, "1]");
    run(wants_tree, large.data);
    failed("invalid_params", "too large");
    pool.limit = 0;
    run(wants_tree, large.data);
    replied("{\"out\":\"done\",\"result\":true,\"id\":\"i\"}");
    text_free(&large);
    clean_up();
}
END_TEST

START_TEST(heap_trees_outside_of_requests_are_the_heaps)
{
    setup();
    cJSON *tree = cJSON_Parse("{\"a\":[1,2,{\"b\":\"c\"}]}"); /* not a request's: the heap */
    ck_assert_ptr_nonnull(tree);
    run(tree_in_pool, "{\"list\":[\"a\"]}");
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(tree, "a")), 3);
    cJSON_Delete(tree);
    clean_up();
}
END_TEST

/* ---- What a handler can see ---- */

static void looks_around(pillion_request *req)
{
    pillion_instance *self = pillion_self(req);
    pillion_bytes id = pillion_request_id(req);

    must(request_current() == req);
    must(strcmp(pillion_method_name(req), "toy.public") == 0);
    must(strcmp(pillion_peer(req), "192.0.2.1:5") == 0);
    must(id.size == 3 && memcmp(id.data, "\"i\"", 3) == 0);
    must(self == &instance && pillion_worker(self) == 3 && pillion_worker_count(self) == 4);
    must(pillion_generation(self) == 7 && pillion_config(self) == NULL);
    must(pillion_state(self) == NULL);
    pillion_set_state(self, req);
    must(pillion_state(self) == req);
    pillion_set_state(self, NULL);
    for (size_t size = 1; size < 5000; size += 99)
        memset(pillion_alloc(req, size), 0xff, size);
    must(pillion_alloc(req, SIZE_MAX) == NULL);
    pillion_log(self, PILLION_LOG_WARN, "words of %s", "its own");
    pillion_log(self, PILLION_LOG_DEBUG, "too quiet");
    pillion_log(self, (pillion_log_level)99, "odd level");
    pillion_reply_raw(req, "done", (pillion_bytes){"1", 1});
}

START_TEST(handler_sees_its_request_and_its_module)
{
    setup();
    ck_assert_ptr_null(request_current());
    run(looks_around, "1");
    ck_assert_ptr_null(request_current());
    replied("{\"out\":\"done\",\"result\":1,\"id\":\"i\"}");
    const char *text = logged();
    ck_assert_ptr_nonnull(strstr(text, "[warn] "));
    ck_assert_ptr_nonnull(strstr(text, ": toy: words of its own\n"));
    ck_assert_ptr_null(strstr(text, "too quiet"));
    ck_assert_ptr_nonnull(strstr(text, "[info] "));
    clean_up();
}
END_TEST

/* ---- JSON-RPC ---- */

START_TEST(answers_are_in_the_requests_format)
{
    setup();
    format = ENVELOPE_JSONRPC;
    run(raw_params, "[1]");
    replied("{\"jsonrpc\":\"2.0\",\"result\":[1],\"id\":\"i\"}");
    run(fail_with_words, "[1]");
    ck_assert_str_eq(body(), "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32602,\"message\":"
                             "\"not \\\"this\\\", but 42\",\"data\":{\"code\":"
                             "\"invalid_params\",\"message\":\"not \\\"this\\\", but 42\"}},"
                             "\"id\":\"i\"}");
    ck_assert(request.failed);
    sink_full = 1;
    run(raw_params, "[1]");
    sink_full = 0;
    ck_assert_ptr_nonnull(strstr(body(), "\"error\":{\"code\":-32603,\"message\":\"out of memory"));
    clean_up();
}
END_TEST

/* Both copies of a message count. */
START_TEST(messages_of_jsonrpc_are_cut_to_what_a_reply_may_have)
{
    setup();
    format = ENVELOPE_JSONRPC;
    for (max_reply = 14000; max_reply > 13500; max_reply -= 100) {
        run(fail_at_length, "[1]");
        ck_assert_uint_le(sink_size, max_reply);
    }
    clean_up();
}
END_TEST

START_TEST(notifications_are_answered_with_nothing)
{
    static const pillion_handler handlers[] = {raw_params, fail_with_words, tree_reply};

    setup();
    format = ENVELOPE_JSONRPC;
    notifies = true;
    for (size_t i = 0; i < sizeof(handlers) / sizeof(*handlers); i++) {
        run(handlers[i], "[1]");
        ck_assert_uint_eq(sink_size, 0);
        ck_assert_uint_eq(request.size, 0);
        ck_assert(request.failed == (handlers[i] == fail_with_words));
    }
    ck_assert_str_eq(request.code, "");
    run(fail_with_words, "[1]");
    ck_assert_str_eq(request.code, "invalid_params");
    clean_up();
}
END_TEST

UNIT_MAIN("request", answers_are_in_the_requests_format,
          messages_of_jsonrpc_are_cut_to_what_a_reply_may_have,
          notifications_are_answered_with_nothing, raw_reply_is_byte_for_byte,
          tree_reply_is_printed_and_freed, failures_have_code_and_message,
          raw_failures_are_byte_for_byte, no_answer_is_an_internal_error,
          second_answers_are_logged_and_dropped, replies_that_are_no_json_become_internal_errors,
          out_may_be_any_text, reply_larger_than_allowed_is_refused,
          a_reply_without_memory_becomes_an_error, without_memory_for_an_error_the_process_ends,
          tree_of_params_is_the_requests_own, params_that_cannot_be_a_tree_are_invalid,
          heap_trees_outside_of_requests_are_the_heaps, handler_sees_its_request_and_its_module)
