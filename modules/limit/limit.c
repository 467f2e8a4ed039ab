/* A filter that limits how often, and how often at the same time, requests may be made: by client,
 * by method, by a member of the request, or by all together. What it counts is in a zone, so that
 * all workers count as one, and go on counting over reloads.
 *
 *     zone limits 1m;
 *     server {
 *         filter limit { zone limits; rate 100/s; burst 200; key client; }
 *         …
 *     } */
#include <errno.h>
#include <pillion/module.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LIMITED      "limited"
#define KEY_MAX      64u /* longer ones are hashed */
#define WORKERS_MAX  16u /* places for workers that count what is under way, old and new ones */
#define UNDER_WAY_MS 86400000u

enum key_kind { KEY_CLIENT, KEY_METHOD, KEY_MEMBER, KEY_ALL };

/* One `filter limit { … }`. */
struct limit {
    const char *zone_name, *rate, *key;
    int64_t burst, concurrency;

    pillion_zone *zone;
    double per_second; /* 0: no limit */
    double most;       /* tokens */
    enum key_kind kind;
    const char *member;
    uint64_t rate_id, under_way_id; /* the same in statements that count together */
    const pillion_request *refused; /* the request that it refused just now: it is not under way */
};

static const pillion_directive directives[] = {
    {.name = "zone",
     .type = PILLION_STRING,
     .offset = offsetof(struct limit, zone_name),
     .required = true,
     .summary = "The zone in which it counts."},
    {.name = "rate",
     .type = PILLION_STRING,
     .offset = offsetof(struct limit, rate),
     .summary = "How many requests in a second, a minute or an hour: 100/s, 30/m, 5/h."},
    {.name = "burst",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct limit, burst),
     .fallback = "0",
     .min = 0,
     .max = 1000000000,
     .summary =
         "How many may come at once after a silence; by default those of a second, and one at "
         "least."},
    {.name = "concurrency",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct limit, concurrency),
     .fallback = "0",
     .min = 0,
     .max = 1000000,
     .summary = "How many may be under way at the same time; 0: any number."},
    {.name = "key",
     .type = PILLION_STRING,
     .offset = offsetof(struct limit, key),
     .fallback = "client",
     .summary =
         "What has a limit of its own: each `client` (its address), each `method`, each value of "
         "`member:NAME` (a member of the request, such as its token), or `all` together."},
    {0},
};

/* ---- What is counted ---- */

/* A bucket of tokens: a request takes one, and they come back with time. */
struct bucket {
    double tokens;
    uint64_t then_ns;
};

/* How many requests each worker has under way. Those of workers that are gone do not count. */
struct under_way {
    struct {
        int32_t pid;
        uint32_t count;
    } workers[WORKERS_MAX];
};

struct key {
    char data[2 + sizeof(uint64_t) + KEY_MAX];
    size_t size;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#define HASH_FIRST 0xcbf29ce484222325u

/* FNV-1a: only to make long keys short. */
static uint64_t hash_of(const void *data, size_t size, uint64_t hash)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

/* A string member counts as what it says, however it is spelled, and ends where cJSON ends it, as
 * it does for auth and for handlers. What cannot be decoded is all one. Freed with cJSON_Delete. */
static cJSON *decode_string(pillion_bytes *value)
{
    cJSON *string = cJSON_ParseWithLength(value->data, value->size);
    const char *text = string == NULL ? NULL : cJSON_GetStringValue(string);

    *value = text == NULL ? (pillion_bytes){"\xff", 1} : (pillion_bytes){text, strlen(text)};
    return string;
}

static void add_to_key(struct key *key, const void *data, size_t size)
{
    memcpy(key->data + key->size, data, size);
    key->size += size;
}

static void add_value(struct key *key, pillion_bytes value)
{
    if (value.size > KEY_MAX) {
        uint64_t hashes[2] = {hash_of(value.data, value.size, HASH_FIRST),
                              hash_of(value.data, value.size, 0x9ae16a3b2f90404fu)};
        add_to_key(key, hashes, sizeof(hashes));
    } else if (value.size > 0) {
        add_to_key(key, value.data, value.size);
    }
}

/* `what`: 'r' for the rate, 'u' for what is under way. */
static struct key key_of(const struct limit *limit, pillion_request *req, char what)
{
    struct key key = {.data = {what, 'v'}, .size = 2};
    pillion_bytes value = {"", 0};
    cJSON *string = NULL;

    add_to_key(&key, what == 'r' ? &limit->rate_id : &limit->under_way_id, sizeof(uint64_t));
    switch (limit->kind) {
    case KEY_CLIENT: {
        value.data = pillion_peer(req); /* the port is another one for each connection */
        const char *colon = strrchr(value.data, ':');
        value.size = colon == NULL || strncmp(value.data, "unix:", 5) == 0
                         ? strlen(value.data)
                         : (size_t)(colon - value.data);
        break;
    }
    case KEY_METHOD:
        value.data = pillion_method_name(req);
        value.size = strlen(value.data);
        break;
    case KEY_MEMBER:
        value = pillion_member(req, limit->member);
        if (value.data != NULL && value.data[0] == '"') {
            key.data[1] = 's'; /* "1" is not 1 */
            string = decode_string(&value);
        }
        break;
    case KEY_ALL:
        break;
    }
    add_value(&key, value);
    cJSON_Delete(string);
    return key;
}

/* ---- The rate ---- */

struct take {
    const struct limit *limit;
    bool taken;
    double wait_seconds;
};

static void take_token(void *value, bool fresh, void *data)
{
    struct bucket *bucket = value;
    struct take *take = data;
    const struct limit *limit = take->limit;
    uint64_t now = now_ns();

    if (fresh || bucket->then_ns > now) {
        bucket->tokens = limit->most;
    } else {
        bucket->tokens += (double)(now - bucket->then_ns) / 1e9 * limit->per_second;
        if (!(bucket->tokens < limit->most))
            bucket->tokens = limit->most;
    }
    bucket->then_ns = now;
    take->taken = bucket->tokens >= 1;
    if (take->taken)
        bucket->tokens -= 1;
    else
        take->wait_seconds = (1 - bucket->tokens) / limit->per_second;
}

/* ---- What is under way ---- */

struct enter {
    const struct limit *limit;
    int delta;
    bool entered;
};

static uint32_t sum_of(const struct under_way *all)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < WORKERS_MAX; i++)
        sum += all->workers[i].pid == 0 ? 0 : all->workers[i].count;
    return sum;
}

/* Forgets workers that are gone: what they had under way is over. */
static void forget_dead(struct under_way *all)
{
    for (unsigned i = 0; i < WORKERS_MAX; i++) {
        if (all->workers[i].pid != 0 && kill(all->workers[i].pid, 0) != 0 && errno == ESRCH)
            all->workers[i].pid = 0;
    }
}

/* This worker's place, or NULL when all are taken. */
static uint32_t *own_count(struct under_way *all)
{
    int32_t pid = (int32_t)getpid();
    int free = -1;

    for (int i = 0; i < (int)WORKERS_MAX; i++) {
        if (all->workers[i].pid == pid)
            return &all->workers[i].count;
        if (all->workers[i].pid == 0 || all->workers[i].count == 0)
            free = i;
    }
    if (free < 0)
        return NULL;
    all->workers[free].pid = pid;
    all->workers[free].count = 0;
    return &all->workers[free].count;
}

static void change_under_way(void *value, bool fresh, void *data)
{
    struct under_way *all = value;
    struct enter *enter = data;

    (void)fresh;
    if (enter->delta > 0 && sum_of(all) >= (uint64_t)enter->limit->concurrency)
        forget_dead(all);
    uint32_t *own = own_count(all);
    if (own == NULL) {
        forget_dead(all);
        own = own_count(all);
    }
    if (own == NULL)
        return;
    if (enter->delta < 0) {
        *own -= *own > 0;
    } else if (sum_of(all) < (uint64_t)enter->limit->concurrency) {
        ++*own;
        enter->entered = true;
    }
}

/* ---- The filter ---- */

static pillion_verdict refuse(struct limit *limit, pillion_request *req, const char *why)
{
    limit->refused = req;
    pillion_fail(req, LIMITED, "%s", why);
    return PILLION_STOP;
}

static pillion_verdict before(pillion_request *req)
{
    struct limit *limit = pillion_filter_config(req);
    char why[160];

    limit->refused = NULL;
    if (limit->per_second > 0) {
        struct take take = {.limit = limit, .taken = true};
        struct key key = key_of(limit, req, 'r');
        /* A bucket that is full again need not be kept. */
        uint64_t ttl_ms = (uint64_t)(limit->most / limit->per_second * 1000) + 1000;
        pillion_zone_update(limit->zone, key.data, key.size, ttl_ms, sizeof(struct bucket),
                            take_token, &take);
        if (!take.taken) {
            snprintf(why, sizeof(why), "more than %s; try again in %.3f s", limit->rate,
                     take.wait_seconds);
            return refuse(limit, req, why);
        }
    }
    if (limit->concurrency > 0) {
        struct enter enter = {.limit = limit, .delta = 1};
        struct key key = key_of(limit, req, 'u');
        pillion_zone_update(limit->zone, key.data, key.size, UNDER_WAY_MS, sizeof(struct under_way),
                            change_under_way, &enter);
        if (!enter.entered) {
            snprintf(why, sizeof(why), "more than %lld requests are under way",
                     (long long)limit->concurrency);
            return refuse(limit, req, why);
        }
    }
    return PILLION_NEXT;
}

static void after(pillion_request *req)
{
    struct limit *limit = pillion_filter_config(req);

    if (limit->refused == req) { /* it has not been let in */
        limit->refused = NULL;
        return;
    }
    if (limit->concurrency == 0)
        return;
    struct enter leave = {.limit = limit, .delta = -1};
    struct key key = key_of(limit, req, 'u');
    pillion_zone_update(limit->zone, key.data, key.size, UNDER_WAY_MS, sizeof(struct under_way),
                        change_under_way, &leave);
}

static int read_rate(struct limit *limit, pillion_error_text *error)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"/s", 1}, {"/m", 60}, {"/h", 3600}};
    char *end;
    double number = strtod(limit->rate, &end);

    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        if (strcmp(end, units[i].unit) == 0 && end != limit->rate && number > 0 && number <= 1e9)
            limit->per_second = number / units[i].seconds;
    }
    if (limit->per_second <= 0)
        return pillion_error(error, "\"%s\" is no rate: it is written 100/s, 30/m or 5/h",
                             limit->rate);
    limit->most = limit->burst > 0 ? (double)limit->burst : limit->per_second;
    if (limit->most < 1)
        limit->most = 1;
    return 0;
}

static int read_key(struct limit *limit, pillion_error_text *error)
{
    static const char *const words[] = {
        [KEY_CLIENT] = "client", [KEY_METHOD] = "method", [KEY_ALL] = "all"};

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (words[i] != NULL && strcmp(words[i], limit->key) == 0) {
            limit->kind = (enum key_kind)i;
            return 0;
        }
    }
    limit->kind = KEY_MEMBER;
    limit->member = limit->key + strlen("member:");
    if (strncmp(limit->key, "member:", strlen("member:")) == 0 && limit->member[0] != '\0')
        return 0;
    return pillion_error(error, "\"%s\" is no key: there are client, method, member:NAME and all",
                         limit->key);
}

/* Statements whose limits differ count apart: a bucket cannot fill at two rates, and four that may
 * be under way are not four when what others let in is among them. */
static void make_ids(struct limit *limit)
{
    const char *member = limit->member == NULL ? "" : limit->member;
    uint64_t id = hash_of(&limit->kind, sizeof(limit->kind), HASH_FIRST);

    id = hash_of(member, strlen(member), id);
    limit->rate_id = hash_of(&limit->per_second, sizeof(limit->per_second), id);
    limit->rate_id = hash_of(&limit->most, sizeof(limit->most), limit->rate_id);
    limit->under_way_id = hash_of(&limit->concurrency, sizeof(limit->concurrency), id);
}

static int start(pillion_instance *self, void *config, pillion_error_text *error)
{
    struct limit *limit = config;

    limit->zone = pillion_zone_open(self, limit->zone_name);
    if (limit->zone == NULL)
        return pillion_error(
            error, "there is no zone \"%s\"; write \"zone %s 1m;\" outside of every block",
            limit->zone_name, limit->zone_name);
    if (limit->rate == NULL && limit->concurrency == 0)
        return pillion_error(error, "it limits nothing: give rate or concurrency");
    if (limit->rate != NULL && read_rate(limit, error) != 0)
        return -1;
    if (read_key(limit, error) != 0)
        return -1;
    make_ids(limit);
    return 0;
}

static const pillion_filter filters[] = {
    {.name = "limit",
     .before = before,
     .after = after,
     .start = start,
     .summary = "Limits how often requests are made, and how many are under way.",
     .directives = directives,
     .config_size = sizeof(struct limit)},
    {0},
};

PILLION_MODULE(.name = "limit", .version = "1.0.0",
               .summary = "A filter that limits how often requests are made.", .filters = filters);
