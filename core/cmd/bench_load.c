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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cmd/client.h"
#include "cmd/said.h"
#include "process/privilege.h"

#define CONNECT_MS   10000
#define DRAIN_NS     (2 * NS_PER_S)
#define READ_SIZE    (256u * 1024)
#define SEND_SIZE    (256u * 1024) /* bytes of copies of the message, for one send */
#define EVENTS       256
#define FDS_RESERVED 16u /* descriptors that are not connections */

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
    struct reply_part part;
    bool writing; /* EPOLLOUT is asked for */
};

struct load {
    const struct load_plan *plan;
    struct load_result *result;
    struct load_conn *conns;
    struct replies replies;
    uint32_t open;
    int epoll;
    char *frames; /* as many copies of the message as fit SEND_SIZE, at least two */
    size_t frames_size, frame_size;
    char *input;
    uint64_t start_ns, end_ns, now, last_reply_ns;
    uint64_t in_flight;
    uint64_t due;       /* number of due requests that were handed to connections */
    uint32_t next_conn; /* the connection that gets the next of them */
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
    if (!replies_count(&load->replies, &conn->part, input, &count)) {
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
    uint64_t files = limit_open_files(0);
    const int on = 1;

    if (files < plan->connections + FDS_RESERVED)
        return error_set(error,
                         "%u connections need more descriptors than the %llu that are allowed "
                         "here; raise `ulimit -n`",
                         plan->connections, (unsigned long long)files);
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
    replies_begin(&load.replies, plan->dialect, &result->errors);
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
        text_free(&load.conns[i].part.rest);
    }
    if (load.epoll >= 0)
        close(load.epoll);
    free(load.conns);
    free(load.input);
    free(load.frames);
    return good;
}
