/* See etcd_link.h. */
#include "registry/etcd_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "registry/etcd_text.h"

/* After an answer that no other member would give. */
#define REFUSED_NS    NS_PER_S
#define REFUSALS_MAX  5u
#define TELL_AGAIN_NS (60 * NS_PER_S)

/* So many times the time of other answers is there for large ones. */
#define LARGE_TIMES 4u

/* etcd takes long for a password, on purpose (bcrypt), and for the passwords of many servers at
 * once, as after its restart, as many times as long. It goes on with one that nobody waits for any
 * more. So each that comes too late doubles the time for the next one: were it always the same,
 * they could keep etcd busy for ever, each of them too late. */
#define NAME_DOUBLINGS 5u

/* A member that has no leader, because it is cut off from the others, says so at once and ends
 * watches, instead of waiting for one: clientv3.WithRequireLeader. The gateway makes metadata of
 * gRPC of such headers (grpc-gateway, "MetadataHeaderPrefix"). */
#define REQUIRE_LEADER "Grpc-Metadata-Hasleader: true"

static void run(struct timer *timer);

static const char *url_of(const struct etcd_link *link)
{
    return link->members.items[link->members.at].url;
}

static void run_soon(struct etcd_link *link)
{
    timer_set(link->loop, &link->timer, 0, run);
}

/* ---- What is told ---- */

void etcd_link_trouble(struct etcd_link *link, const char *text)
{
    uint64_t now = clock_ns();

    if (link->settings.trouble == NULL || (strncmp(link->told, text, sizeof(link->told) - 1) == 0 &&
                                           now - link->told_at < TELL_AGAIN_NS))
        return;
    snprintf(link->told, sizeof(link->told), "%s", text);
    link->told_at = now;
    link->settings.trouble(link->settings.context, text);
}

static void tell_contact(struct etcd_link *link, bool there, const char *why)
{
    if (link->contact_known && link->there == there)
        return;
    link->contact_known = true;
    link->there = there;
    link->settings.contact(link->settings.context, there, why);
}

/* ---- Asks ---- */

static void stop(struct etcd_ask *ask)
{
    if (ask->transfer != NULL)
        http_loop_cancel(ask->link->http, ask->transfer);
    ask->transfer = NULL;
    text_free(&ask->line);
}

void etcd_link_drop(struct etcd_ask *ask)
{
    if (ask->link == NULL)
        return;
    stop(ask);
    *ask->place = ask->next;
    if (ask->next != NULL)
        ask->next->place = ask->place;
    ask->link = NULL;
    ask->refusals = 0;
    ask->not_before = 0;
}

void etcd_link_ask(struct etcd_link *link, struct etcd_ask *ask)
{
    if (ask->link != NULL)
        return;
    ask->link = link;
    ask->times++;
    ask->next = link->asks;
    ask->place = &link->asks;
    if (ask->next != NULL)
        ask->next->place = &ask->next;
    link->asks = ask;
    run_soon(link);
}

static void pause_ask(struct etcd_ask *ask)
{
    uint32_t doublings = ask->refusals < REFUSALS_MAX ? ask->refusals : REFUSALS_MAX;

    stop(ask);
    ask->refusals++;
    ask->not_before =
        clock_ns() + etcd_members_chance(&ask->link->members, REFUSED_NS << doublings);
    run_soon(ask->link);
}

/* ---- Members that fail and answer ---- */

static void fail(struct etcd_link *link, const char *why)
{
    char text[512];

    snprintf(text, sizeof(text), "%s: %s", url_of(link), why);
    log_debug("etcd: %s", text);
    snprintf(link->why, sizeof(link->why), "%s", text);
    link->failures++;
    for (struct etcd_ask *ask = link->asks; ask != NULL; ask = ask->next)
        stop(ask);
    etcd_members_failed(&link->members, clock_ns());
    link->moves += link->members.count > 1;
    run_soon(link);
    if (etcd_members_all_failed(&link->members))
        tell_contact(link, false, text);
}

static void answered(struct etcd_link *link, const struct etcd_answer *answer)
{
    bool other = link->cluster != 0 && answer->cluster != 0 && link->cluster != answer->cluster;

    if (answer->cluster != 0)
        link->cluster = answer->cluster;
    etcd_members_answered(&link->members);
    tell_contact(link, true, url_of(link));
    if (other) {
        etcd_link_trouble(link, "another etcd answers than before; everything is read anew");
        link->settings.other(link->settings.context);
    }
}

/* ---- Tokens ---- */

static bool needs_token(const struct etcd_link *link)
{
    return link->settings.user != NULL && link->token == NULL && !link->nameless;
}

static void drop_token(struct etcd_link *link)
{
    if (link->token != NULL)
        explicit_bzero(link->token, strlen(link->token));
    free(link->token);
    link->token = NULL;
    link->nameless = false;
}

static char *make_name(struct etcd_ask *ask)
{
    return etcd_text_authenticate(ask->link->settings.user, ask->link->settings.password);
}

static void take_token(struct etcd_ask *ask, const struct etcd_answer *answer)
{
    struct etcd_link *link = container_of(ask, struct etcd_link, name);

    drop_token(link);
    link->late_names = 0;
    if (answer->token != NULL)
        link->token = must_printf("Authorization: %s", answer->token);
    else
        etcd_link_trouble(link, "etcd has given no token for the user's name");
    run_soon(link);
}

/* An ask whose token is not taken. The first time it is only too old. */
static void no_token(struct etcd_link *link, struct etcd_ask *ask, const char *text)
{
    if (link->settings.user == NULL) {
        etcd_link_trouble(link, "etcd asks who this is: name a `user` that may read and write");
        pause_ask(ask);
        return;
    }
    drop_token(link);
    if (ask->refusals > 0) {
        etcd_link_trouble(link, text);
        pause_ask(ask);
        return;
    }
    ask->refusals++;
    stop(ask);
    run_soon(link);
}

void etcd_link_again(struct etcd_link *link, struct etcd_ask *ask, uint32_t before, const char *why)
{
    if (ask->link == NULL)
        return;
    if (ask->refusals < before)
        ask->refusals = before;
    if (ask->refusals > 0 || link->settings.user == NULL)
        etcd_link_trouble(link, why);
    drop_token(link);
    pause_ask(ask);
}

static void no_names(struct etcd_link *link)
{
    link->nameless = true;
    etcd_link_drop(&link->name);
    etcd_link_trouble(link, "etcd asks nobody for a name, so `user` is not needed");
    run_soon(link);
}

/* ---- Answers ---- */

static void refuse(struct etcd_link *link, struct etcd_ask *ask, const char *text)
{
    char trouble[400];

    if (ask == &link->name)
        snprintf(trouble, sizeof(trouble), "user %s: %s", link->settings.user, text);
    else
        snprintf(trouble, sizeof(trouble), "%.140s: %s",
                 ask->about == NULL ? ask->path : ask->about, text);
    etcd_link_trouble(link, trouble);
    pause_ask(ask);
}

/* Gives it to its owner when it is for that; deals with it otherwise. */
static void judge(struct etcd_link *link, struct etcd_ask *ask, const struct etcd_answer *answer)
{
    if (answer->verdict == ETCD_ELSEWHERE) {
        fail(link, answer->text);
        return;
    }
    uint32_t times = ask->times;
    answered(link, answer);
    if (ask->link == NULL || ask->times != times) /* an event has led to that */
        return;
    switch (answer->verdict) {
    case ETCD_NO_TOKEN:
        no_token(link, ask, answer->text);
        break;
    case ETCD_NO_AUTH:
        no_names(link);
        break;
    case ETCD_REFUSED:
        refuse(link, ask, answer->text);
        break;
    default:
        if (ask->goes_on && answer->verdict == ETCD_FINE)
            ask->refusals = answer->canceled ? ask->refusals : 0;
        else
            etcd_link_drop(ask);
        ask->take(ask, answer);
    }
}

static void read_and_judge(struct etcd_link *link, struct etcd_ask *ask, struct bytes text,
                           int status)
{
    struct etcd_answer answer;

    etcd_answer_read(&answer, text, status);
    judge(link, ask, &answer);
    etcd_answer_free(&answer);
}

static void too_large(struct etcd_link *link, struct etcd_ask *ask)
{
    const struct etcd_answer answer = {.verdict = ETCD_TOO_LARGE};

    judge(link, ask, &answer);
}

/* Lines of one that goes on. It is looked at after each whether it goes on still. */
static bool take_part(void *context, struct bytes bytes)
{
    struct etcd_ask *ask = context;
    struct etcd_link *link = ask->link;
    const struct http_transfer *transfer = ask->transfer;

    link->received += bytes.size;
    while (bytes.size > 0) {
        const char *end = memchr(bytes.data, '\n', bytes.size);
        size_t size = end == NULL ? bytes.size : (size_t)(end - bytes.data) + 1;
        if (size > link->settings.answer_max - ask->line.size) {
            too_large(link, ask);
            return true;
        }
        text_append(&ask->line, (struct bytes){bytes.data, size});
        bytes = (struct bytes){bytes.data + size, bytes.size - size};
        if (end == NULL)
            break;
        struct text line = ask->line;
        ask->line = (struct text){0};
        if (line.size > 1)
            read_and_judge(link, ask, (struct bytes){line.data, line.size}, 200);
        text_free(&line);
        if (ask->link == NULL || ask->transfer != transfer)
            return true;
    }
    return true;
}

/* In ms; 0: none. */
static uint32_t timeout_of(const struct etcd_link *link, const struct etcd_ask *ask)
{
    if (ask->goes_on)
        return 0;
    if (ask == &link->name)
        return link->settings.timeout_ms << link->late_names;
    return link->settings.timeout_ms * (ask->is_large ? LARGE_TIMES : 1u);
}

static bool is_late(const struct etcd_link *link, const struct etcd_ask *ask)
{
    return (clock_ns() - ask->sent_at) / NS_PER_MS + 1 >= timeout_of(link, ask);
}

static void take_end(void *context, const struct http_answer *answer)
{
    struct etcd_ask *ask = context;
    struct etcd_link *link = ask->link;
    struct text rest = ask->line;

    ask->transfer = NULL;
    ask->line = (struct text){0};
    if (ask == &link->name && answer->status == 0 && is_late(link, ask))
        link->late_names += link->late_names < NAME_DOUBLINGS;
    if (!ask->goes_on)
        link->received += answer->body.size;
    if (answer->too_large)
        too_large(link, ask);
    else if (answer->status == 0)
        fail(link, answer->why);
    else if (!ask->goes_on)
        read_and_judge(link, ask, answer->body, answer->status);
    else if (rest.size > 0)
        read_and_judge(link, ask, (struct bytes){rest.data, rest.size}, answer->status);
    else
        fail(link, "it has ended a watch");
    text_free(&rest);
}

/* ---- Sending ---- */

static void send_ask(struct etcd_link *link, struct etcd_ask *ask)
{
    const char *headers[] = {REQUIRE_LEADER, "Content-Type: application/json", NULL, NULL};
    char *body = ask->make(ask);
    char url[1024];
    struct error error;

    if (ask != &link->name && link->token != NULL)
        headers[2] = link->token;
    snprintf(url, sizeof(url), "%s%s", url_of(link), ask->path);
    const struct http_request request = {.url = url,
                                         .body = bytes_of(body),
                                         .headers = headers,
                                         .tls = link->settings.has_tls ? &link->settings.tls : NULL,
                                         .connect_ms = link->settings.timeout_ms,
                                         .timeout_ms = timeout_of(link, ask),
                                         .answer_max = link->settings.answer_max,
                                         .part = ask->goes_on ? take_part : NULL,
                                         .done = take_end,
                                         .context = ask};
    ask->transfer = http_loop_start(link->http, &request, &error);
    ask->sent_at = clock_ns();
    link->requests++;
    link->sent += request.body.size;
    if (ask == &link->name)
        explicit_bzero(body, request.body.size);
    free(body);
    if (ask->transfer == NULL)
        fail(link, error.text);
}

static bool may_go(const struct etcd_link *link, const struct etcd_ask *ask)
{
    return ask->transfer == NULL && (ask == &link->name || !needs_token(link));
}

/* The next ask to be sent at `now`; NULL: none, and `when` is lowered to the time of the next. */
static struct etcd_ask *next_ask(const struct etcd_link *link, uint64_t now, uint64_t *when)
{
    for (struct etcd_ask *ask = link->asks; ask != NULL; ask = ask->next) {
        if (!may_go(link, ask))
            continue;
        if (ask->not_before <= now)
            return ask;
        if (ask->not_before < *when)
            *when = ask->not_before;
    }
    return NULL;
}

/* Sends all that may be sent, and looks again when more may be. */
static void run(struct timer *timer)
{
    struct etcd_link *link = container_of(timer, struct etcd_link, timer);
    uint64_t now = clock_ns(), when = UINT64_MAX;
    struct etcd_ask *ask = NULL;

    if (link->asks != NULL && needs_token(link))
        etcd_link_ask(link, &link->name);
    timer_cancel(link->loop, &link->timer);
    if (link->asks == NULL)
        return;
    while (etcd_members_ready(&link->members, now, &when) &&
           (when = UINT64_MAX, ask = next_ask(link, now, &when)) != NULL)
        send_ask(link, ask);
    if (when != UINT64_MAX)
        timer_set_at(link->loop, &link->timer, when, run);
}

/* ---- Its life ---- */

bool etcd_link_open(struct etcd_link *link, struct loop *loop, const struct http_table *table,
                    struct error *error)
{
    link->loop = loop;
    link->name =
        (struct etcd_ask){.path = "/v3/auth/authenticate", .make = make_name, .take = take_token};
    link->http = http_loop_open(loop, table, error);
    return link->http != NULL;
}

void etcd_link_close(struct etcd_link *link)
{
    while (link->asks != NULL)
        etcd_link_drop(link->asks);
    if (link->loop != NULL)
        timer_cancel(link->loop, &link->timer);
    http_loop_close(link->http);
    link->http = NULL;
    drop_token(link);
}
