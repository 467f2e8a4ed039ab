/* A batch of JSON-RPC is answered as its text says, as cJSON reads it, in every framing; also when
 * the worker dies while some of its calls are deferred: then what was answered keeps its answer, no
 * call is run twice but those that may be, and the others say that their worker is gone.
 *
 * The input is the framing, the death, the order in which deferred calls are answered, and the
 * text. Methods: `e` gives its params back at once, `d` and `i` later; `i` may be run twice. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "fuzz.h"
#include "net/kept.h"
#include "rpc/dispatch.h"

#define SETTINGS_SIZE 4
#define TEXT_MAX      3000u
#define CALLS_MAX     64u

/* ---- A worker ---- */

struct serving {
    struct conns conns;
    struct dispatcher dispatcher;
    struct rpc_server server;
    struct conn *conn;
    int arena_fd, client;
};

static counter counters[WORKER_COUNTERS];
static struct loop loop;
static pillion_token tokens[CALLS_MAX];
static unsigned waiting, runs;

static void echo(pillion_request *req)
{
    runs++;
    request_reply(req, "e", req->params);
}

static void defer(pillion_request *req)
{
    runs++;
    require(waiting < CALLS_MAX);
    tokens[waiting++] = deferred_begin(req, 1000000);
}

static void on_close(struct conns *conns, struct conn *conn)
{
    dispatch_closed(conns->context, conn);
}

static void serve(struct serving *serving, uint32_t worker)
{
    const struct arena_geometry geometry = {.records = 4, .blocks = 256};
    static const struct server_settings settings = {.max_frame = 65536,
                                                    .max_head = 4096,
                                                    .max_output = 1 << 20,
                                                    .max_inflight = CALLS_MAX,
                                                    .max_batch = CALLS_MAX,
                                                    .json_max_depth = JSON_DEPTH_MAX,
                                                    .json_max_values = UINT32_MAX};
    static struct pillion_instance instance = {.name = "m"};
    static struct board *board;
    struct method methods[] = {
        {.name = BYTES("e"), .own_name = "e", .handler = echo, .instance = &instance},
        {.name = BYTES("d"), .own_name = "d", .handler = defer, .instance = &instance},
        {.name = BYTES("i"), .own_name = "i", .handler = defer, .instance = &instance},
    };
    struct error error;

    if (board == NULL)
        require((board = board_new(&error)) != NULL);
    methods[2].idempotent = true;
    *serving = (struct serving){.arena_fd = arena_create(&geometry, worker, &error)};
    struct conns *conns = &serving->conns;
    require(serving->arena_fd >= 0 &&
            conns_init(conns, &loop, serving->arena_fd, worker, 4, counters, &error));
    serving->dispatcher =
        (struct dispatcher){.conns = conns, .board = board, .row = &board->rows[0]};
    dispatcher_init(&serving->dispatcher, 1000000);
    conns->on_input = dispatch_input;
    conns->on_close = on_close;
    conns->context = &serving->dispatcher;
    rpc_server_init(&serving->server, &settings, &serving->dispatcher, 1);
    for (size_t i = 0; i < 3; i++)
        method_table_add(&serving->server.methods, &methods[i]);
    method_table_seal(&serving->server.methods);
}

static void stop(struct serving *serving)
{
    if (serving->conn->policy != NULL)
        conn_close(&serving->conns, serving->conn);
    dispatch_settle(&serving->dispatcher);
    conns_flush(&serving->conns);
    require(serving->dispatcher.deferreds.pending == 0 && serving->conns.kept == NULL);
    require(serving->conns.open == 0);
    dispatcher_free(&serving->dispatcher);
    pool_free(&serving->dispatcher.pool);
    method_table_free(&serving->server.methods);
    conns_free(&serving->conns);
    close(serving->arena_fd);
    close(serving->client);
}

static int pair_for(struct serving *serving)
{
    int pair[2];

    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    serving->client = pair[1];
    return pair[0];
}

/* All that can be done is done. */
static void run(struct serving *serving)
{
    for (unsigned i = 0; i < 2 * CALLS_MAX; i++) {
        dispatch_settle(&serving->dispatcher);
        conns_flush(&serving->conns);
    }
}

/* The worker is gone, though not because of the batch; the next one takes the connection over. */
static void adopt(struct serving *from, struct serving *to)
{
    struct death death = {.marked = true, .from = &from->conns.arena};
    uint32_t index = conn_index(&from->conns, from->conn);
    const struct conn_record record = from->conns.arena.records[index];
    struct kept_index kept;

    serve(to, 8);
    kept_index_read(&kept, &from->conns.arena);
    death.kept = &kept;
    struct kept *inherited = kept_inherit(&to->conns, &kept, record.id);
    require(record_valid(&from->conns.arena, &record));
    to->conn = conn_adopt(&to->conns, pair_for(to), &from->conns.arena, index, &record,
                          record_cursors(&record), &to->server.policy);
    require(to->conn != NULL && dispatch_adopted(&to->dispatcher, to->conn, &death));
    kept_settle(inherited);
    conn_start(&to->conns, to->conn);
    kept_index_free(&kept);
    run(to);
}

/* Answers the deferred calls, in an order that `order` says. */
static void answer_all(struct serving *serving, unsigned order)
{
    while (waiting > 0) {
        unsigned at = order % waiting;
        pillion_token token = tokens[at];
        tokens[at] = tokens[--waiting];
        order = order * 31 + 7;
        struct pillion_request *req = deferred_resume(&serving->dispatcher.deferreds, token);
        require(req != NULL);
        request_reply(req, "d", req->params);
        dispatch_settle(&serving->dispatcher);
        if (order % 3 == 0)
            conns_flush(&serving->conns);
    }
    run(serving);
}

/* ---- The wire ---- */

/* The text as the framing has it; HTTP in chunks of `piece` bytes, or in one. Returns its size. */
static size_t wrap(unsigned protocol, const char *text, size_t size, size_t piece, char *to)
{
    char *start = to;

    if (protocol == PROTOCOL_FRAME) {
        frame_header((uint32_t)size, to);
        to += FRAME_HEADER_SIZE;
    } else if (protocol == PROTOCOL_HTTP) {
        to += sprintf(to, "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    }
    if (protocol == PROTOCOL_HTTP && piece > 0) {
        to += sprintf(to, "Transfer-Encoding: chunked\r\n\r\n");
        for (size_t at = 0; at < size; at += piece) {
            size_t part = size - at < piece ? size - at : piece;
            to += sprintf(to, "%zx\r\n", part);
            memcpy(to, text + at, part);
            memcpy(to + part, "\r\n", 2);
            to += part + 2;
        }
        to += sprintf(to, "0\r\n\r\n");
        return (size_t)(to - start);
    }
    if (protocol == PROTOCOL_LSP || protocol == PROTOCOL_HTTP)
        to += sprintf(to, "Content-Length: %zu\r\n\r\n", size);
    memcpy(to, text, size);
    to += size;
    if (protocol == PROTOCOL_LINE)
        *to++ = '\n';
    return (size_t)(to - start);
}

/* The body of the one reply that has come; NULL for none. */
static cJSON *read_reply(int client, unsigned protocol)
{
    static char reply[1 << 18];
    ssize_t size = recv(client, reply, sizeof(reply) - 1, 0);
    const char *body = reply;

    if (size <= 0)
        return NULL;
    reply[size] = '\0';
    if (protocol == PROTOCOL_FRAME)
        body = reply + FRAME_HEADER_SIZE;
    else if (protocol != PROTOCOL_LINE)
        require((body = strstr(reply, "\r\n\r\n")) != NULL && (body += 4) != NULL);
    if (*body == '\0') {
        require(strncmp(reply, "HTTP/1.1 204 ", 13) == 0);
        return NULL;
    }
    const char *end;
    cJSON *item = cJSON_ParseWithOpts(body, &end, false);
    require(item != NULL && strcmp(end, protocol == PROTOCOL_LINE ? "\n" : "") == 0);
    return item;
}

/* ---- The other reader ---- */

static const cJSON *member_of(const cJSON *object, const char *name, unsigned *times)
{
    const cJSON *found = NULL, *item;

    *times = 0;
    cJSON_ArrayForEach(item, object)
    {
        if (item->string == NULL || strcmp(item->string, name) != 0) /* an array has none */
            continue;
        found = found == NULL ? item : found;
        ++*times;
    }
    return found;
}

/* The name of the method that a request calls; NULL when it is none. */
static const char *method_of(const cJSON *object)
{
    unsigned versions, methods, ids, params;
    const cJSON *version = member_of(object, "jsonrpc", &versions);
    const cJSON *method = member_of(object, "method", &methods);
    const cJSON *id = member_of(object, "id", &ids), *param = member_of(object, "params", &params);

    if (!cJSON_IsObject(object) || versions != 1 || methods != 1 || ids > 1 || params > 1 ||
        !cJSON_IsString(version) || strcmp(version->valuestring, "2.0") != 0 ||
        !cJSON_IsString(method) || strlen(method->valuestring) > METHOD_NAME_MAX ||
        (id != NULL && !cJSON_IsString(id) && !cJSON_IsNumber(id) && !cJSON_IsNull(id)) ||
        (param != NULL && !cJSON_IsObject(param) && !cJSON_IsArray(param)))
        return NULL;
    return method->valuestring;
}

/* Equal as cJSON prints them: an infinity is no number that it compares. NULL is null. */
static void require_same(const cJSON *one, const cJSON *other)
{
    char *a = one == NULL ? strdup("null") : cJSON_PrintUnformatted(one);
    char *b = other == NULL ? strdup("null") : cJSON_PrintUnformatted(other);

    require(strcmp(a, b) == 0);
    free(a);
    free(b);
}

static int code_of(const cJSON *answer)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(answer, "error");

    return error == NULL ? 0 : cJSON_GetObjectItemCaseSensitive(error, "code")->valueint;
}

static unsigned count_runs(const cJSON *batch, const char *names)
{
    const cJSON *item;
    unsigned count = 0;

    cJSON_ArrayForEach(item, batch)
    {
        const char *method = method_of(item);
        count += method != NULL && strlen(method) == 1 && strchr(names, *method) != NULL;
    }
    return count;
}

/* `died`: while those that are deferred were. */
static void compare_answers(const cJSON *batch, const cJSON *answers, bool died)
{
    enum { INVALID_REQUEST = -32600, METHOD_NOT_FOUND = -32601, MODULE_CRASHED = 50001 };
    const cJSON *answer = answers == NULL ? NULL : answers->child, *item;
    unsigned times;

    require(answers == NULL || (cJSON_IsArray(answers) && answer != NULL));
    cJSON_ArrayForEach(item, batch)
    {
        const char *method = method_of(item);
        const cJSON *id = cJSON_IsObject(item) ? member_of(item, "id", &times) : NULL;
        if (method != NULL && id == NULL)
            continue;
        require(answer != NULL);
        if (method == NULL) {
            require(code_of(answer) == INVALID_REQUEST);
        } else {
            bool ours = strlen(method) == 1 && strchr("edi", *method) != NULL;
            require_same(member_of(answer, "id", &times), id);
            require(code_of(answer) == (!ours                    ? METHOD_NOT_FOUND
                                        : died && *method == 'd' ? MODULE_CRASHED
                                                                 : 0));
            if (code_of(answer) == 0)
                require_same(member_of(answer, "result", &times),
                             member_of(item, "params", &times));
        }
        answer = answer->next;
    }
    require(answer == NULL);
}

/* ---- One batch ---- */

static struct serving *arrived;
static uint64_t arrives;

static void stop_when_arrived(struct loop *all, void *context)
{
    (void)context;
    conns_flush(&arrived->conns);
    if (conn_cursors(&arrived->conns, arrived->conn)->received >= arrives)
        loop_stop(all);
}

static void try(unsigned protocol, size_t piece, unsigned order, unsigned deaths, const char *text,
                size_t size, const cJSON *batch)
{
    static char out[TEXT_MAX * 8 + 1024];
    struct serving workers[3];
    struct serving *worker = &workers[0];
    struct error error;

    waiting = runs = 0;
    require(loop_init(&loop, &error));
    serve(worker, 7);
    size_t out_size = wrap(protocol, text, size, piece, out);
    worker->conn =
        conn_open(&worker->conns, pair_for(worker), 1, (uint8_t)protocol, &worker->server.policy);
    require(worker->conn != NULL);
    require(send(worker->client, out, out_size, 0) == (ssize_t)out_size);
    conn_start(&worker->conns, worker->conn);
    arrived = worker;
    arrives = out_size;
    loop.after_batch = stop_when_arrived;
    loop_run(&loop);
    run(worker);
    require(runs == count_runs(batch, "edi") && waiting == count_runs(batch, "di"));
    unsigned again = waiting > 0 ? count_runs(batch, "i") : 0, used = 0;
    bool died = false;
    while (waiting > 0 && used < deaths) {
        unsigned before = runs;
        waiting = 0;
        adopt(&workers[used], &workers[used + 1]);
        worker = &workers[++used];
        /* Of those that may be run twice, none is three times. */
        require(runs == before + (used == 1 ? again : 0));
        died = true;
    }
    answer_all(worker, order);
    cJSON *answers = read_reply(worker->client, protocol);
    if (used < 2)
        compare_answers(batch, answers, died);
    else
        require(answers == NULL || cJSON_IsArray(answers));
    cJSON_Delete(answers);
    for (unsigned i = 0; i <= used; i++)
        stop(&workers[i]);
    loop_free(&loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned protocols_of[] = {PROTOCOL_FRAME, PROTOCOL_LINE, PROTOCOL_LSP,
                                            PROTOCOL_HTTP, PROTOCOL_HTTP};
    const struct json_limits limits = {JSON_DEPTH_MAX, UINT32_MAX};
    struct json_error error;

    if (size < SETTINGS_SIZE || size - SETTINGS_SIZE > TEXT_MAX)
        return 0;
    unsigned which = data[0] % 5u;
    size_t piece = which == 4 ? 1u + data[1] % 32 : 0;
    struct bytes exact = {(const char *)data + SETTINGS_SIZE, size - SETTINGS_SIZE};
    if (!json_check(exact, &limits, &error) || json_has_nul(exact))
        return 0;
    char *text = strndup(exact.data, exact.size);
    for (char *c = text; *c != '\0'; c++) /* a line has one end */
        *c = *c == '\n' || *c == '\r' ? ' ' : *c;
    cJSON *batch = cJSON_ParseWithLength(text, exact.size);
    unsigned calls = cJSON_IsArray(batch) ? (unsigned)cJSON_GetArraySize(batch) : 0;
    if (calls > 0 && calls <= CALLS_MAX)
        try(protocols_of[which], piece, data[2], data[3] % 3u, text, exact.size, batch);
    cJSON_Delete(batch);
    free(text);
    return 0;
}
