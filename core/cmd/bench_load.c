/* Sending and counting. See bench_load.h. */
#include "cmd/bench_load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cmd/client.h"
#include "cmd/said.h"
#include "wire/frame.h"

#define CONNECT_MS      10000
#define DRAIN_NS        (2 * NS_PER_S)
#define READ_SIZE       (256u * 1024)
#define SEND_SIZE       (256u * 1024) /* bytes of copies of the message, for one send */
#define EVENTS          256
#define START_SIZE      128u /* bytes of a body, in which an error's code is found */
#define FIRST_ERROR_MAX 4096u
#define FDS_RESERVED    16u /* descriptors that are not connections */

/* Requests that were sent, or were due, at the same time. */
struct sent {
    uint64_t since_ns;
    uint32_t count;
};

struct load_conn {
    struct contact contact; /* its descriptor is -1: it has ended */
    uint32_t in_flight;
    uint64_t unsent;   /* bytes of requests that are to be sent */
    size_t phase;      /* how far into a message the next byte to send is */
    struct sent *ring; /* oldest at `head`; as many places as there may be requests */
    uint32_t head, groups;

    /* The reply that is being read. */
    char start[FRAME_HEADER_SIZE + START_SIZE];
    uint32_t have;    /* bytes of `start` */
    uint64_t left;    /* bytes of the frame that are still to come, once its header is there */
    struct text rest; /* the bytes of it, in protocols other than frames */
    struct frame_progress progress;
    bool writing; /* EPOLLOUT is asked for */
    bool odd;     /* a frame has come that is no reply */
};

struct load {
    const struct load_plan *plan;
    struct load_result *result;
    struct load_conn *conns;
    struct bytes error_start; /* of the body of an error reply */
    uint32_t open;
    int epoll;
    char *frames; /* as many copies of the message as fit SEND_SIZE, at least two */
    size_t frames_size, frame_size;
    char *input;
    uint64_t start_ns, end_ns, now, last_reply_ns;
    uint64_t in_flight;
    uint64_t due;       /* number of due requests that were handed to connections */
    uint32_t next_conn; /* the connection that gets the next of them */
    const struct load_conn *first_error_of; /* whose reply is first_error; NULL: none */
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- Connections ---- */

static void conn_fail(struct load *load, struct load_conn *conn, const char *why, int number)
{
    struct load_result *result = load->result;

    if (result->failed++ == 0) {
        errno = number;
        if (number == 0)
            error_set(&result->failure, "%s", why);
        else
            error_errno(&result->failure, "%s", why);
    }
    contact_close(&conn->contact);
    load->open--;
    load->in_flight -= conn->in_flight;
    result->unanswered += conn->in_flight;
}

/* By errno, or by what TLS says. */
static void conn_broke(struct load *load, struct load_conn *conn, const char *what)
{
    struct text why = {0};
    int number = errno;

    text_append_string(&why, what);
    if (number == EPROTO)
        text_printf(&why, ": %s", contact_why(&conn->contact));
    conn_fail(load, conn, text_string(&why), number == EPROTO ? 0 : number);
    text_free(&why);
}

static void want_writing(struct load *load, struct load_conn *conn, bool writing)
{
    writing = writing || conn->contact.reads_write;
    if (conn->writing == writing)
        return;
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0u), .data.ptr = conn};
    epoll_ctl(load->epoll, EPOLL_CTL_MOD, conn->contact.fd, &event);
    conn->writing = writing;
}

static void send_more(struct load *load, struct load_conn *conn)
{
    while (conn->unsent > 0) {
        size_t size = load->frames_size - conn->phase;
        if (size > conn->unsent)
            size = (size_t)conn->unsent;
        ssize_t put = contact_send(&conn->contact, load->frames + conn->phase, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno != EAGAIN) {
            conn_broke(load, conn, "a connection broke while a request was sent");
            return;
        }
        if (put < 0)
            break;
        conn->unsent -= (uint64_t)put;
        conn->phase = (conn->phase + (size_t)put) % load->frame_size;
        load->result->bytes += (uint64_t)put;
    }
    want_writing(load, conn, conn->unsent > 0);
}

/* Hands `count` requests to the connection; they count from `since_ns`. */
static void request(struct load *load, struct load_conn *conn, uint32_t count, uint64_t since_ns)
{
    uint32_t tail = (conn->head + conn->groups) % load->plan->in_flight;

    conn->ring[tail] = (struct sent){since_ns, count};
    conn->groups++;
    conn->in_flight += count;
    load->in_flight += count;
    conn->unsent += (uint64_t)count * load->frame_size;
}

/* ---- Replies ---- */

/* Records the times of `count` replies, which have come. */
static void replied(struct load *load, struct load_conn *conn, uint32_t count)
{
    load->result->replies += count;
    load->last_reply_ns = load->now;
    load->in_flight -= count;
    conn->in_flight -= count;
    while (count > 0) {
        struct sent *oldest = &conn->ring[conn->head];
        uint32_t some = oldest->count < count ? oldest->count : count;
        uint64_t ns = load->now > oldest->since_ns ? load->now - oldest->since_ns : 0;
        histogram_record(load->result->times, ns, some);
        oldest->count -= some;
        count -= some;
        if (oldest->count == 0) {
            conn->head = (conn->head + 1) % load->plan->in_flight;
            conn->groups--;
        }
    }
}

static bool is_error(const struct load *load, const char *body, size_t size)
{
    const struct bytes start = load->error_start;

    return size >= start.size && memcmp(body, start.data, start.size) == 0;
}

/* Replies are objects. Servers of other protocols answer with something else, and quickly. */
static bool is_object(const char *body, size_t size)
{
    return size > 0 && (body[0] == '{' || strchr(" \t\r\n", body[0]) != NULL);
}

/* Keeps a part of the first error reply. */
static void keep_error(struct load *load, const char *data, size_t size)
{
    struct text *kept = &load->result->first_error;

    text_append(kept, (struct bytes){data, size < FIRST_ERROR_MAX - kept->size
                                               ? size
                                               : FIRST_ERROR_MAX - kept->size});
}

/* Writes the `code` of an error reply to `name`, as it was sent. `status` is HTTP's, or 0. */
static void read_code(const struct load *load, struct bytes body, unsigned status,
                      char name[LOAD_CODE_SIZE])
{
    const struct bytes bare = BYTES("{\"code\":");
    struct bytes before = load->plan->dialect->jsonrpc
                              ? BYTES("{\"jsonrpc\":\"2.0\",\"error\":{\"code\":")
                              : BYTES("{\"out\":\"error\",\"result\":{\"code\":");
    size_t size = 0;

    if (status != 0 && body.size > bare.size && memcmp(body.data, bare.data, bare.size) == 0)
        before = bare;

    if (body.size > before.size && memcmp(body.data, before.data, before.size) == 0) {
        const char *code = body.data + before.size, *end = body.data + body.size;
        for (code += *code == '"'; code < end && size < LOAD_CODE_SIZE - 1; code++) {
            if (strchr("\",}", *code) != NULL)
                break;
            name[size++] = *code;
        }
        name[size] = '\0';
    } else if (status != 0) {
        snprintf(name, LOAD_CODE_SIZE, "HTTP %u", status);
    } else {
        snprintf(name, LOAD_CODE_SIZE, "error");
    }
}

static void count_code(struct load *load, struct bytes body, unsigned status)
{
    struct load_code *codes = load->result->codes;
    char name[LOAD_CODE_SIZE];
    size_t i = 0;

    read_code(load, body, status, name);
    while (i < LOAD_CODES - 1 && codes[i].count > 0 && strcmp(codes[i].name, name) != 0)
        i++;
    if (codes[i].count++ == 0)
        memcpy(codes[i].name, name, sizeof(name));
    else if (strcmp(codes[i].name, name) != 0)
        snprintf(codes[i].name, sizeof(codes[i].name), "others");
}

/* Counts the error reply that begins with `body`. */
static void count_error(struct load *load, const struct load_conn *conn, struct bytes body,
                        unsigned status)
{
    count_code(load, body, status);
    if (load->result->errors++ != 0)
        return;
    load->first_error_of = conn;
    keep_error(load, body.data, body.size);
}

/* The body's size. */
static uint32_t size_of(const char *header)
{
    struct frame frame;

    frame_next((struct bytes){header, FRAME_HEADER_SIZE}, UINT32_MAX, &frame);
    return (uint32_t)(frame.size - FRAME_HEADER_SIZE);
}

/* Takes bytes of a reply that arrives in several reads. Returns how many it took; sets `whole` at
 * the reply's end. */
static size_t take_part(struct load *load, struct load_conn *conn, struct bytes input, bool *whole)
{
    size_t taken = 0;
    bool looked = conn->have == sizeof(conn->start);

    while (taken < input.size && (conn->have < FRAME_HEADER_SIZE ||
                                  (conn->left > 0 && conn->have < sizeof(conn->start)))) {
        conn->start[conn->have++] = input.data[taken++];
        if (conn->have == FRAME_HEADER_SIZE)
            conn->left = size_of(conn->start);
        else if (conn->have > FRAME_HEADER_SIZE)
            conn->left--;
    }
    struct bytes start = {conn->start + FRAME_HEADER_SIZE, 0};
    if (!looked && conn->have > FRAME_HEADER_SIZE &&
        (conn->have == sizeof(conn->start) || conn->left == 0)) {
        start.size = conn->have - FRAME_HEADER_SIZE;
        if (is_error(load, start.data, start.size))
            count_error(load, conn, start, 0);
        conn->odd = !is_object(start.data, start.size);
    }
    size_t rest = input.size - taken;
    if (conn->have >= FRAME_HEADER_SIZE) {
        if (rest > conn->left)
            rest = (size_t)conn->left;
        if (load->first_error_of == conn)
            keep_error(load, input.data + taken, rest);
        conn->left -= rest;
        taken += rest;
        *whole = conn->left == 0;
    }
    if (*whole) {
        conn->have = 0;
        if (load->first_error_of == conn)
            load->first_error_of = NULL;
    }
    return taken;
}

/* Counts the replies in `input`, of a protocol other than frames, and keeps the start of one that
 * is not whole. False when they cannot be read. */
static bool count_others(struct load *load, struct load_conn *conn, struct bytes input,
                         uint32_t *count)
{
    struct http_response response = {0};
    bool kept = conn->rest.size > 0;
    enum frame_status status;
    struct frame frame;

    if (kept) {
        text_append(&conn->rest, input);
        input = (struct bytes){conn->rest.data, conn->rest.size};
    }
    for (;;) {
        status = dialect_next(load->plan->dialect, input, &conn->progress, &response, &frame);
        if (status != FRAME_WHOLE && status != FRAME_EMPTY)
            break;
        conn->progress = (struct frame_progress){0};
        *count += status == FRAME_WHOLE;
        if (status == FRAME_WHOLE &&
            (response.status >= 300 || is_error(load, frame.body.data, frame.body.size))) {
            count_error(load, conn, frame.body, response.status);
            load->first_error_of = NULL;
        } else if (status == FRAME_WHOLE && !is_object(frame.body.data, frame.body.size)) {
            status = FRAME_REFUSED;
            break;
        }
        input.data += frame.size;
        input.size -= (size_t)frame.size;
    }
    if (kept) {
        memmove(conn->rest.data, input.data, input.size);
        conn->rest.size = input.size;
    } else {
        text_append(&conn->rest, input);
    }
    return status == FRAME_PARTIAL;
}

/* Counts the replies in `input`, which are frames. False when they are no replies. */
static bool count_frames(struct load *load, struct load_conn *conn, struct bytes input,
                         uint32_t *count)
{
    while (input.size > 0) {
        bool whole = false;
        size_t taken;
        uint64_t size = input.size >= FRAME_HEADER_SIZE
                            ? (uint64_t)size_of(input.data) + FRAME_HEADER_SIZE
                            : UINT64_MAX;
        if (conn->have == 0 && size <= input.size) {
            whole = true;
            taken = (size_t)size;
            struct bytes body = {input.data + FRAME_HEADER_SIZE, taken - FRAME_HEADER_SIZE};
            if (is_error(load, body.data, body.size)) {
                count_error(load, conn, body, 0);
                load->first_error_of = NULL;
            } else if (!is_object(body.data, body.size)) {
                conn->odd = true;
            }
        } else {
            taken = take_part(load, conn, input, &whole);
        }
        conn->odd |= conn->left > FRAME_BODY_MAX;
        *count += whole;
        input.data += taken;
        input.size -= taken;
    }
    return !conn->odd;
}

static void fail_unreadable(struct load *load, struct load_conn *conn, struct bytes input)
{
    struct text why = {0};

    text_printf(&why, "%s sent a reply that cannot be read", load->plan->server);
    said_append(&why, input);
    conn_fail(load, conn, text_string(&why), 0);
    text_free(&why);
}

/* Takes what has come. True when there is more at once, which epoll(7) need not tell of. */
static bool receive_once(struct load *load, struct load_conn *conn)
{
    ssize_t got = contact_receive(&conn->contact, load->input, READ_SIZE);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got == 0)
        conn_fail(load, conn, "the server closed a connection", 0);
    else if (got < 0)
        conn_broke(load, conn, "a connection broke");
    if (got <= 0)
        return false;
    load->now = clock_ns();
    load->result->bytes += (uint64_t)got;
    struct bytes input = {load->input, (size_t)got};
    uint32_t count = 0;
    if (!(load->plan->dialect->protocol == PROTOCOL_FRAME
              ? count_frames(load, conn, input, &count)
              : count_others(load, conn, input, &count))) {
        fail_unreadable(load, conn, input);
        return false;
    }
    if (count > conn->in_flight) {
        conn_fail(load, conn, "the server sent more replies than there were requests", 0);
        return false;
    }
    replied(load, conn, count);
    if (count > 0 && load->plan->rate == 0 && load->now < load->end_ns && !interrupted) {
        request(load, conn, count, load->now);
        send_more(load, conn);
    }
    return got == READ_SIZE && conn->contact.session != NULL && conn->contact.fd >= 0;
}

static void receive(struct load *load, struct load_conn *conn)
{
    bool wrote = conn->contact.reads_write;

    while (receive_once(load, conn)) {
    }
    if (conn->contact.fd >= 0 && conn->contact.reads_write != wrote)
        want_writing(load, conn, conn->unsent > 0);
}

/* ---- The rate ---- */

/* When request `number` is due. */
static uint64_t due_ns(const struct load *load, uint64_t number)
{
    return load->start_ns + (uint64_t)((double)number * 1e9 / load->plan->rate);
}

/* The next connection that may have one more, or NULL. */
static struct load_conn *next_conn(struct load *load)
{
    for (uint32_t i = 0; i < load->plan->connections; i++) {
        struct load_conn *conn = &load->conns[load->next_conn];
        load->next_conn = (load->next_conn + 1) % load->plan->connections;
        if (conn->contact.fd >= 0 && conn->in_flight < load->plan->in_flight)
            return conn;
    }
    return NULL;
}

/* Hands due requests to connections. A request that no connection can take stays due. */
static void send_due(struct load *load)
{
    while (due_ns(load, load->due) <= load->now && due_ns(load, load->due) < load->end_ns) {
        struct load_conn *conn = next_conn(load);
        if (conn == NULL)
            return;
        request(load, conn, 1, due_ns(load, load->due++));
        send_more(load, conn);
    }
}

/* ---- The run ---- */

static bool connect_all(struct load *load, struct error *error)
{
    const struct load_plan *plan = load->plan;
    struct rlimit limit;
    const int on = 1;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < plan->connections + FDS_RESERVED)
        return error_set(error,
                         "%u connections need more descriptors than the %llu that are allowed "
                         "here; raise `ulimit -n`",
                         plan->connections, (unsigned long long)limit.rlim_cur);
    for (uint32_t i = 0; i < plan->connections; i++) {
        struct load_conn *conn = &load->conns[i];
        if (!client_connect(plan->server, plan->dialect, CONNECT_MS, &conn->contact, error))
            return false;
        load->open++;
        /* Not on Unix sockets. */
        setsockopt(conn->contact.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        conn->ring = must_alloc(plan->in_flight * sizeof(*conn->ring));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
        if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, conn->contact.fd, &event) < 0)
            return error_errno(error, "cannot watch a connection");
    }
    return true;
}

static void make_frames(struct load *load)
{
    struct text message = {0};

    dialect_wrap(load->plan->dialect, load->plan->server, load->plan->body, &message);
    load->error_start = dialect_error_start(load->plan->dialect);
    load->frame_size = message.size;
    size_t copies = SEND_SIZE / load->frame_size;
    if (copies > load->plan->in_flight)
        copies = load->plan->in_flight;
    copies++; /* sending may begin within the first */
    load->frames_size = copies * load->frame_size;
    load->frames = must_alloc(load->frames_size);
    for (size_t i = 0; i < copies; i++)
        memcpy(load->frames + i * load->frame_size, message.data, message.size);
    text_free(&message);
}

/* How long to wait for replies before the next request is due. */
static uint64_t wait_ns(const struct load *load, uint64_t until)
{
    if (load->plan->rate > 0 && due_ns(load, load->due) < until)
        until = due_ns(load, load->due);
    return until > load->now ? until - load->now : 0;
}

static void run_until_done(struct load *load)
{
    const struct load_plan *plan = load->plan;
    struct epoll_event events[EVENTS];
    uint64_t next_progress = load->start_ns + NS_PER_S;

    while (load->open > 0) {
        bool over = load->now >= load->end_ns || interrupted;
        if (over && interrupted && load->end_ns > load->now)
            load->end_ns = load->now;
        if (over && (load->in_flight == 0 || load->now >= load->end_ns + DRAIN_NS))
            break;
        uint64_t until = over ? load->end_ns + DRAIN_NS : load->end_ns;
        uint64_t ns = wait_ns(load, until < next_progress ? until : next_progress);
        struct timespec time = {.tv_sec = (time_t)(ns / NS_PER_S),
                                .tv_nsec = (long)(ns % NS_PER_S)};
        int count = epoll_pwait2(load->epoll, events, EVENTS, &time, NULL);
        load->now = clock_ns();
        for (int i = 0; i < count; i++) {
            struct load_conn *conn = events[i].data.ptr;
            if (conn->contact.fd >= 0 && (events[i].events & EPOLLOUT))
                send_more(load, conn);
            if (conn->contact.fd >= 0 &&
                ((events[i].events & ~(uint32_t)EPOLLOUT) != 0 || conn->contact.reads_write))
                receive(load, conn);
        }
        if (plan->rate > 0)
            send_due(load);
        if (load->now >= next_progress) {
            next_progress += NS_PER_S;
            if (plan->progress != NULL)
                plan->progress(load->result->replies,
                               (double)(load->now - load->start_ns) / (double)NS_PER_S);
        }
    }
    load->result->unanswered += load->in_flight;
}

static void begin(struct load *load)
{
    load->start_ns = load->now = load->last_reply_ns = clock_ns();
    load->end_ns = load->start_ns + (uint64_t)(load->plan->seconds * 1e9);
    if (load->plan->rate > 0)
        return;
    for (uint32_t i = 0; i < load->plan->connections; i++) {
        request(load, &load->conns[i], load->plan->in_flight, clock_ns());
        send_more(load, &load->conns[i]);
    }
}

bool load_run(const struct load_plan *plan, struct load_result *result, struct error *error)
{
    struct sigaction action = {.sa_handler = interrupt}, before;
    struct load load = {.plan = plan, .result = result};

    *result = (struct load_result){.times = must_zalloc(sizeof(struct histogram))};
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.conns = must_zalloc(plan->connections * sizeof(*load.conns));
    load.input = must_alloc(READ_SIZE);
    make_frames(&load);
    bool good = load.epoll >= 0 ? connect_all(&load, error)
                                : error_errno(error, "cannot create an epoll descriptor");
    if (good) {
        interrupted = 0;
        sigaction(SIGINT, &action, &before);
        begin(&load);
        run_until_done(&load);
        sigaction(SIGINT, &before, NULL);
        result->seconds = (double)(load.last_reply_ns - load.start_ns) / (double)NS_PER_S;
    }
    for (uint32_t i = 0; i < plan->connections; i++) {
        if (load.conns[i].ring != NULL)
            contact_close(&load.conns[i].contact);
        free(load.conns[i].ring);
        text_free(&load.conns[i].rest);
    }
    if (load.epoll >= 0)
        close(load.epoll);
    free(load.conns);
    free(load.input);
    free(load.frames);
    return good;
}
