/* What batches promise: their calls are marked in the frame's own bytes, whatever the framing, and
 * their answers make one reply. See core/rpc/batch.h. */
#include "rpc/dispatch_batch.h"

#include <stdio.h>

#include "rpc/deferred_list.h"
#include "rpc/dispatch.h"

#include "conn_fixture.h" /* whose names would be shadowed above */

#define CALL(method, id) "{\"jsonrpc\":\"2.0\",\"method\":\"" method "\",\"id\":" id "}"
#define NOTIFY(method)   "{\"jsonrpc\":\"2.0\",\"method\":\"" method "\"}"
#define RESULT(id)       "{\"jsonrpc\":\"2.0\",\"result\":null,\"id\":" id "}"

static struct dispatcher dispatcher;
static struct rpc_server server;
static struct server_settings settings;
static struct conn *conn;
static int client;
static pillion_token tokens[16];
static unsigned deferred_count, echoed;

static void echo(pillion_request *req)
{
    echoed++;
    request_reply(req, "echo", req->params);
}

static void defer(pillion_request *req)
{
    tokens[deferred_count++] = deferred_begin(req, 60000);
}

static void closed(struct conns *all, struct conn *gone)
{
    dispatch_closed(all->context, gone);
}

static void open_client(uint8_t protocol)
{
    static struct pillion_instance instance = {.name = "m"};
    static struct board *board;
    const struct method methods[] = {
        {.name = BYTES("echo"), .own_name = "echo", .handler = echo, .instance = &instance},
        {.name = BYTES("defer"), .own_name = "defer", .handler = defer, .instance = &instance},
    };
    struct error error;
    int fds[2];

    server_open(4, 256);
    if (board == NULL)
        ck_assert_ptr_nonnull(board = board_new(&error));
    settings = (struct server_settings){.max_frame = 4096,
                                        .max_head = 1024,
                                        .max_output = 65536,
                                        .max_inflight = 16,
                                        .max_batch = 8,
                                        .json_max_depth = 16,
                                        .json_max_values = 100};
    dispatcher = (struct dispatcher){.conns = &conns, .board = board, .row = &board->rows[0]};
    dispatcher_init(&dispatcher, 60000);
    conns.on_input = dispatch_input;
    conns.on_close = closed;
    conns.context = &dispatcher;
    server = (struct rpc_server){0};
    rpc_server_init(&server, &settings, &dispatcher, 1);
    for (size_t i = 0; i < 2; i++)
        method_table_add(&server.methods, &methods[i]);
    method_table_seal(&server.methods);
    unix_pair(fds);
    set_nonblocking(fds[0]);
    client = fds[1];
    conn = conn_open(&conns, fds[0], LISTENER_ID, protocol, &server.policy);
    ck_assert_ptr_nonnull(conn);
    conn_start(&conns, conn);
    deferred_count = echoed = 0;
}

static void close_client(void)
{
    conn_close(&conns, conn);
    dispatch_settle(&dispatcher);
    ck_assert_uint_eq(dispatcher.deferreds.pending, 0);
    server_close();
    dispatcher_free(&dispatcher);
    method_table_free(&server.methods);
    close(client);
}

static void put(const char *text)
{
    must(send(client, text, strlen(text), 0) == (ssize_t)strlen(text));
}

static unsigned deferred_wanted;

static bool are_deferred(void)
{
    return deferred_count >= deferred_wanted;
}

static bool has_come(void)
{
    char byte;
    conns_flush(&conns);
    return recv(client, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

/* What has come is this. */
static void expect(const char *text)
{
    char got[8192];

    run_until(has_come);
    ssize_t size = recv(client, got, sizeof(got) - 1, MSG_DONTWAIT);
    got[size < 0 ? 0 : size] = '\0';
    ck_assert_str_eq(got, text);
}

/* The batch that is under way. */
static struct batch *batch_of_client(void)
{
    const struct deferred_list *list = list_of(&dispatcher, conn);

    ck_assert_ptr_nonnull(list);
    struct deferred *d = deferred_at(&dispatcher.deferreds, list->first);
    while (d != NULL && !batch_is_under_way(d))
        d = deferred_at(&dispatcher.deferreds, d->next_of_conn);
    ck_assert_ptr_nonnull(d);
    return d->batch;
}

/* ---- Marks ---- */

#define BATCH "[ " CALL("echo", "1") " ,7, " CALL("defer", "\"a,]\"") " , " NOTIFY("echo") " ]"

static const char *chunked(const char *body, size_t piece)
{
    static char text[4096];
    char *to = text;

    to += sprintf(to, "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0, size = strlen(body); at < size; at += piece) {
        size_t part = size - at < piece ? size - at : piece;
        to += sprintf(to, "%zx;x=\",]\"\r\n%.*s\r\n", part, (int)part, body + at);
    }
    strcpy(to, "0\r\n\r\n");
    return text;
}

/* The batch as the protocol frames it; its calls are marked in `piece` chunks of HTTP. */
static const char *framed(uint8_t protocol, size_t piece)
{
    static char text[4096];

    if (protocol == PROTOCOL_HTTP && piece > 0)
        return chunked(BATCH, piece);
    if (protocol == PROTOCOL_LINE)
        sprintf(text, "%s\r\n", BATCH);
    else
        sprintf(text, "%sContent-Length: %zu\r\n\r\n%s",
                protocol == PROTOCOL_HTTP ? "POST / HTTP/1.1\r\nHost: localhost\r\n" : "",
                strlen(BATCH), BATCH);
    return text;
}

/* Every state of every call can be told from the frame's bytes, and the bytes be had as they were
 * sent. The place of a mark is a comma's or the bracket's, and no other call's. */
static void expect_marks(const char *sent)
{
    const struct batch *batch = batch_of_client();
    struct pool pool = {0};
    struct begun_frame at = {0};

    ck_assert_uint_eq(batch->count, 4);
    for (uint32_t i = 0; i < batch->count; i++) {
        bool last = i + 1 == batch->count;
        ck_assert_int_eq(sent[batch->calls[i].mark], last ? ']' : ',');
        ck_assert(i == 0 || batch->calls[i].mark > batch->calls[i - 1].mark);
        for (unsigned state = CALL_NEW; state < CALL_STATES; state++) {
            batch_mark(batch, &conns, conn, i, (enum call_state)state);
            ck_assert_uint_eq(batch_state(batch, &conns, conn, i), state);
            ck_assert(begun_walk(&conns, conn, 0, &at) && at.batch);
            struct bytes body = batch_unmarked(&pool, &at);
            const char *from = sent + (at.frame.body.data - conn_input(&conns, conn).data);
            ck_assert_uint_eq(body.size, at.frame.body.size);
            ck_assert_mem_eq(body.data, from, body.size);
        }
    }
    pool_free(&pool);
}

static void try_marks(uint8_t protocol, size_t piece)
{
    const char *sent = framed(protocol, piece);

    open_client(protocol);
    deferred_wanted = 1;
    put(sent);
    run_until(are_deferred);
    conns_flush(&conns);
    const struct batch *batch = batch_of_client();
    ck_assert_uint_eq(batch_state(batch, &conns, conn, 0), CALL_ANSWERED);
    ck_assert_uint_eq(batch_state(batch, &conns, conn, 1), CALL_ANSWERED);
    ck_assert_uint_eq(batch_state(batch, &conns, conn, 2), CALL_BEGUN);
    ck_assert_uint_eq(batch_state(batch, &conns, conn, 3), CALL_ANSWERED);
    expect_marks(sent);
    close_client();
}

START_TEST(every_state_of_every_call_is_told_by_the_frame)
{
    try_marks(PROTOCOL_LINE, 0);
    try_marks(PROTOCOL_LSP, 0);
    for (size_t piece = 0; piece <= strlen(BATCH) + 1; piece++)
        try_marks(PROTOCOL_HTTP, piece);
}
END_TEST

/* ---- Answers ---- */

static void answer_deferred(unsigned index, const char *result)
{
    struct pillion_request *req = deferred_resume(&dispatcher.deferreds, tokens[index]);

    ck_assert_ptr_nonnull(req);
    request_reply(req, "", bytes_of(result));
    dispatch_settle(&dispatcher);
}

START_TEST(answers_come_in_the_order_of_the_calls)
{
    open_client(PROTOCOL_LINE);
    deferred_wanted = 3;
    put("[" CALL("defer", "1") "," CALL("echo", "2") "," NOTIFY("defer") "," CALL("defer",
                                                                                  "3") "]\n");
    run_until(are_deferred);
    answer_deferred(2, "\"c\"");
    answer_deferred(0, "\"a\"");
    conns_flush(&conns);
    ck_assert(!has_come());
    answer_deferred(1, "\"b\"");
    expect("[{\"jsonrpc\":\"2.0\",\"result\":\"a\",\"id\":1}," RESULT(
        "2") ","
             "{\"jsonrpc\":\"2.0\",\"result\":\"c\",\"id\":3}]\n");
    ck_assert_uint_eq(begun_count(&conns, conn), 0);
    close_client();
}
END_TEST

START_TEST(a_batch_of_notifications_is_answered_with_nothing)
{
    open_client(PROTOCOL_LINE);
    put("[" NOTIFY("echo") "," NOTIFY("none") "]\n" CALL("echo", "1") "\n");
    expect(RESULT("1") "\n");
    ck_assert_uint_eq(echoed, 2);
    close_client();
}
END_TEST

START_TEST(a_batch_has_as_many_calls_as_may_be)
{
    open_client(PROTOCOL_LINE);
    put("[" NOTIFY("echo") "," NOTIFY("echo") "," NOTIFY("echo") "," NOTIFY("echo") "," NOTIFY(
        "echo") "," NOTIFY("echo") "," NOTIFY("echo") "," CALL("echo", "8") "]\n");
    expect("[" RESULT("8") "]\n");
    ck_assert_uint_eq(echoed, 8);
    put("[1,2,3,4,5,6,7,8," NOTIFY("echo") "]\n");
    run_until(has_come);
    ck_assert_uint_eq(echoed, 8);
    close_client();
}
END_TEST

/* As many bytes as a reply may have; one that is too large becomes a brief error with its id, and
 * leaves the others the room that such errors need. */
START_TEST(answers_share_the_room_of_one_reply)
{
    static char large[3001];
    char text[8192];

    open_client(PROTOCOL_LINE);
    server.max_reply = 7000;
    memset(large, '1', sizeof(large) - 1);
    deferred_wanted = 3;
    put("[" CALL("defer", "1") "," CALL("defer", "2") "," CALL("defer", "\"three\"") "]\n");
    run_until(are_deferred);
    for (unsigned i = 0; i < 3; i++)
        answer_deferred(i, large);
    run_until(has_come);
    ssize_t size = recv(client, text, sizeof(text) - 1, MSG_DONTWAIT);
    text[size < 0 ? 0 : size] = '\0';
    ck_assert_int_le(size, 7000);
    const char *first = strstr(text, large), *third = strstr(text, "\"id\":\"three\"");
    ck_assert(first != NULL && third != NULL && third > first);
    ck_assert_ptr_nonnull(strstr(text, "and no room beside the batch's others"));
    ck_assert_str_eq(text + size - 3, "}]\n");
    close_client();
    /* Not even errors would fit: none of the calls is run. */
    open_client(PROTOCOL_LINE);
    server.max_reply = 1600;
    put("[" CALL("echo", "1") "," CALL("echo", "2") "]\n");
    run_until(has_come);
    ck_assert_uint_eq(echoed, 0);
    size = recv(client, text, sizeof(text) - 1, MSG_DONTWAIT);
    text[size < 0 ? 0 : size] = '\0';
    ck_assert_ptr_nonnull(strstr(text, "more errors for answers than fit"));
    close_client();
}
END_TEST

/* The answers that are given are in the arena, for whoever takes the connection over, until the
 * batch is answered. */
START_TEST(answers_are_kept_until_the_last_is_there)
{
    struct kept_index kept;
    struct bytes answer;
    uint32_t at = 0, number;

    open_client(PROTOCOL_LINE);
    deferred_wanted = 1;
    put("\n[" CALL("echo", "1") "," CALL("defer", "2") "," NOTIFY("echo") ",7]\n");
    run_until(are_deferred);
    const struct batch *batch = batch_of_client();
    kept_index_read(&kept, &conns.arena);
    const uint32_t numbers[] = {0, 2, 3};
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(kept_next(&kept, conn_id(&conns, conn), batch->place, &at, &number, &answer));
        ck_assert_uint_eq(number, numbers[i]);
        ck_assert((answer.size == 0) == (number == 2));
        if (number == 0)
            ck_assert(bytes_equal(answer, BYTES(RESULT("1") "\n")));
    }
    ck_assert(!kept_next(&kept, conn_id(&conns, conn), batch->place, &at, &number, &answer));
    kept_index_free(&kept);
    answer_deferred(0, "2");
    run_until(has_come);
    ck_assert_ptr_null(conns.kept);
    close_client();
}
END_TEST

UNIT_MAIN("batch", every_state_of_every_call_is_told_by_the_frame,
          answers_come_in_the_order_of_the_calls, a_batch_of_notifications_is_answered_with_nothing,
          a_batch_has_as_many_calls_as_may_be, answers_share_the_room_of_one_reply,
          answers_are_kept_until_the_last_is_there)
