/* A filter that limits how often requests may be made, and how many at the same time: for each
 * client, each method or each value of a request's member, or for all together. Its counts are in a
 * zone, so that all workers share them and a reload keeps them.
 *
 *     zone limits 1m;
 *     server {
 *         filter limit { zone limits; rate 100/s; burst 200; key client; }
 *         …
 *     } */
#include <assert.h>
#include <errno.h>
#include <pillion/module.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LIMITED            "limited"
#define KEY_MAX            64u  /* longer keys are hashed */
#define PLACES             128u /* most worker slots */
#define GENERATIONS        4u   /* whose workers may have requests under way at the same time */
#define SEATS              (PLACES * GENERATIONS)
#define UNDER_WAY_MS       86400000u
#define UNDER_WAY_RETRY_MS 1000u /* nobody knows when one of them ends */
#define RECOUNT_MS         100u  /* between recounts of a key that is at its limit */

enum key_kind { KEY_CLIENT, KEY_METHOD, KEY_MEMBER, KEY_ALL, KEY_USER, KEY_CN };

/* A `filter limit { … }` statement. */
struct limit {
    const char *zone_name, *rate, *key;
    int64_t burst, concurrency;

    pillion_zone *zone;
    double per_second; /* tokens; 0: no limit */
    double most;       /* tokens that a bucket holds */
    enum key_kind kind;
    const char *member;
    uint64_t rate_id, under_way_id; /* equal in statements that share their counts */
    const pillion_request *refused; /* the request that the filter has just refused: it is not
                                     * counted as under way */
    uint64_t uncounted;             /* requests under way that are in no account */
};

static const pillion_directive directives[] = {
    {.name = "zone",
     .type = PILLION_STRING,
     .offset = offsetof(struct limit, zone_name),
     .required = true,
     .summary = "The zone that holds its counts."},
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
         "How many may come at once after a silence; by default as many as in a second, and one at "
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
     .summary = "The unit with a limit of its own: each `client` (its address), each `method`, "
                "each `user` (that a filter `auth` before it has found), each `cn` (the name in "
                "a client's certificate, as its balancer tells it), each value of `member:NAME` (a "
                "member of the request, such as its token), or `all` together."},
    {0},
};

/* ---- Counts ---- */

/* A bucket of tokens: a request takes one, and they come back with time. */
struct bucket {
    double tokens;
    uint64_t then_ns;
};

/* Identifies a worker process. The pid alone does not: another process may have it later. */
struct process {
    int32_t pid;
    uint64_t since; /* proc_pid_stat(5): starttime; 0 where that cannot be read */
};

/* How many requests one worker has under way for a key. The index of a worker's account is its
 * seat, by slot and by one of GENERATIONS generations. */
struct account {
    struct process owner;
    uint64_t count;
};

/* How many all workers have under way for a key.
 *
 * A request is added to its worker's account before it is added to the total, and taken from it
 * after it is taken from the total. So the accounts of workers that live are together never less
 * than their part of the total, whatever moment is looked at; the rest of the total belongs to
 * workers that died, and a recount removes it. Where a cell makes room for another key, or a fifth
 * generation of workers comes, more requests are let in, never fewer. */
struct total {
    uint64_t count;
    uint64_t changes; /* a recount sees by these whether requests came or went meanwhile */
    uint64_t recounted_ns;
    uint64_t seats[SEATS / 64]; /* a bit for each worker with an account, even an empty one */
};

struct key {
    char data[2 + sizeof(uint64_t) + KEY_MAX + sizeof(uint16_t)];
    size_t size;
};

#define ZONE_ROOM 216u /* bytes for a key and its value */
static_assert(sizeof(((struct key *)NULL)->data) + sizeof(struct total) <= ZONE_ROOM,
              "a total and its key fit");

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#define HASH_FIRST 0xcbf29ce484222325u

/* FNV-1a, which makes long keys short. */
static uint64_t hash_of(const void *data, size_t size, uint64_t hash)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

/* A string member counts by its text, in whatever way it is escaped. All strings that cannot be
 * decoded share one key, which equals no text. */
static pillion_bytes decode_string(pillion_request *req, pillion_bytes value)
{
    char *text = pillion_alloc(req, value.size);
    long size = text == NULL ? -1 : pillion_json_string(value, text, value.size);

    return size < 0 ? (pillion_bytes){"\xff", 1} : (pillion_bytes){text, (size_t)size};
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

/* The name in the client's certificate; NULL without one. It is kept with the request: when the
 * client is gone, nobody else knows it, and what was counted is still to be found. */
static const char *common_name_of(pillion_request *req)
{
    static const char key[] = "limit.cn";
    const char *kept = pillion_value(req, key), *name = NULL;

    if (kept == NULL && (name = pillion_peer_name(req, "cn")) != NULL)
        pillion_set_value(req, key, (void *)(uintptr_t)name);
    return kept != NULL ? kept : name;
}

/* `what`: 'r' for the rate, 'u' for requests under way. */
static struct key key_of(const struct limit *limit, pillion_request *req, char what)
{
    struct key key = {.data = {what, 'v'}, .size = 2};
    pillion_bytes value = {"", 0};

    add_to_key(&key, what == 'r' ? &limit->rate_id : &limit->under_way_id, sizeof(uint64_t));
    switch (limit->kind) {
    case KEY_CLIENT: {
        value.data = pillion_peer(req); /* without the port, which differs for each connection */
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
            value = decode_string(req, value);
        }
        break;
    case KEY_USER:
        value.data = pillion_value(req, "auth.user");
        value.size = value.data == NULL ? 0 : strlen(value.data);
        break;
    case KEY_CN:
        value.data = common_name_of(req);
        value.size = value.data == NULL ? 0 : strlen(value.data);
        break;
    case KEY_ALL:
        break;
    }
    add_value(&key, value);
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

/* ---- Processes ---- */

static struct process own;

/* A process's start, in ticks since the machine's start; 0 when it cannot be read. */
static uint64_t start_of(pid_t pid)
{
    char path[32], line[1024];
    unsigned long long since = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    const char *at = fgets(line, sizeof(line), file) == NULL ? NULL : strrchr(line, ')');
    fclose(file);
    for (int field = 2; at != NULL && field < 22; field++) /* the name, field 2, may hold spaces */
        at = strchr(at + 1, ' ');
    return at != NULL && sscanf(at, "%llu", &since) == 1 ? since : 0;
}

static bool same_process(struct process one, struct process other)
{
    return one.pid == other.pid && one.since == other.since;
}

static bool is_gone(struct process process)
{
    if (process.pid == own.pid)
        return process.since != own.since;
    if (process.pid <= 0 || (kill(process.pid, 0) != 0 && errno == ESRCH))
        return true;
    uint64_t since = process.since == 0 ? 0 : start_of(process.pid);
    return since != process.since && since != 0;
}

/* ---- Accounts ---- */

static unsigned own_seat(const pillion_request *req)
{
    const pillion_instance *self = pillion_self(req);
    unsigned generation = (unsigned)(pillion_generation(self) % GENERATIONS);

    return generation * PLACES + (unsigned)pillion_worker(self) % PLACES;
}

static struct key account_key(struct key key, unsigned seat)
{
    uint16_t number = (uint16_t)seat;

    key.data[0] = 'a';
    add_to_key(&key, &number, sizeof(number));
    return key;
}

struct deposit {
    struct process gone; /* a dead process, whose account may be taken over */
    struct process other;
    bool made;
};

static void add_one(void *value, bool fresh, void *data)
{
    struct account *account = value;
    struct deposit *deposit = data;

    (void)fresh;
    if (!same_process(account->owner, own)) {
        deposit->other = account->owner;
        if (account->count > 0 && !same_process(account->owner, deposit->gone))
            return;
        account->owner = own;
        account->count = 0;
    }
    account->count++;
    deposit->made = true;
}

/* False when a live worker of four generations ago still has the seat. */
static bool add_to_account(const struct limit *limit, const struct key *key)
{
    struct deposit deposit = {.made = false};

    pillion_zone_update(limit->zone, key->data, key->size, UNDER_WAY_MS, sizeof(struct account),
                        add_one, &deposit);
    if (deposit.made || !is_gone(deposit.other))
        return deposit.made;
    deposit.gone = deposit.other;
    pillion_zone_update(limit->zone, key->data, key->size, UNDER_WAY_MS, sizeof(struct account),
                        add_one, &deposit);
    return deposit.made;
}

static void take_one(void *value, bool fresh, void *data)
{
    struct account *account = value;

    (void)fresh;
    (void)data;
    if (same_process(account->owner, own) && account->count > 0)
        account->count--;
}

static void take_from_account(const struct limit *limit, const struct key *key)
{
    pillion_zone_update(limit->zone, key->data, key->size, UNDER_WAY_MS, sizeof(struct account),
                        take_one, NULL);
}

static bool read_account(const struct limit *limit, const struct key *key, struct account *account)
{
    return pillion_zone_get(limit->zone, key->data, key->size, account, sizeof(*account)) ==
           (long)sizeof(*account);
}

/* ---- Requests under way ---- */

struct enter {
    uint64_t most;
    unsigned seat;
    bool entered;
    bool recount; /* the last one is long ago */
};

static void enter_total(void *value, bool fresh, void *data)
{
    struct total *total = value;
    struct enter *enter = data;

    (void)fresh;
    enter->entered = total->count < enter->most;
    if (enter->entered) {
        total->count++;
        total->changes++;
        total->seats[enter->seat / 64] |= UINT64_C(1) << enter->seat % 64;
        return;
    }
    uint64_t now = now_ns();
    enter->recount = now - total->recounted_ns >= RECOUNT_MS * UINT64_C(1000000);
    if (enter->recount)
        total->recounted_ns = now;
}

static void leave_total(void *value, bool fresh, void *data)
{
    struct total *total = value;

    (void)fresh;
    (void)data;
    total->count -= total->count > 0;
    total->changes++;
}

static void correct_total(void *value, bool fresh, void *data)
{
    struct total *total = value;
    const struct total *counted = data;

    if (fresh || total->changes != counted->changes)
        return;
    if (counted->count < total->count)
        total->count = counted->count;
    memcpy(total->seats, counted->seats, sizeof(total->seats));
}

/* Counts anew the requests that live workers have under way. When requests came or went meanwhile,
 * the total stays as it is: a later recount corrects it. */
static void recount(const struct limit *limit, const struct key *key)
{
    struct total seen, counted = {.count = 0};
    struct account account;

    if (pillion_zone_get(limit->zone, key->data, key->size, &seen, sizeof(seen)) !=
        (long)sizeof(seen))
        return;
    counted.changes = seen.changes;
    for (unsigned seat = 0; seat < SEATS; seat++) {
        uint64_t bit = UINT64_C(1) << seat % 64;
        if ((seen.seats[seat / 64] & bit) == 0)
            continue;
        struct key at = account_key(*key, seat);
        if (read_account(limit, &at, &account) && account.count > 0 && !is_gone(account.owner)) {
            counted.count += account.count;
            counted.seats[seat / 64] |= bit;
        }
    }
    pillion_zone_update(limit->zone, key->data, key->size, UNDER_WAY_MS, sizeof(struct total),
                        correct_total, &counted);
}

static bool enter(struct limit *limit, pillion_request *req)
{
    struct enter enter = {.most = (uint64_t)limit->concurrency, .seat = own_seat(req)};
    struct key key = key_of(limit, req, 'u'), account = account_key(key, enter.seat);

    do {
        if (enter.recount)
            recount(limit, &key);
        if (!add_to_account(limit, &account)) {
            limit->uncounted++;
            return true;
        }
        enter.recount = false;
        enter.entered = true;
        pillion_zone_update(limit->zone, key.data, key.size, UNDER_WAY_MS, sizeof(struct total),
                            enter_total, &enter);
        if (!enter.entered)
            take_from_account(limit, &account);
    } while (enter.recount);
    return enter.entered;
}

static void leave(struct limit *limit, pillion_request *req)
{
    struct key key = key_of(limit, req, 'u'), at = account_key(key, own_seat(req));
    struct account account;

    if (limit->uncounted > 0 && (!read_account(limit, &at, &account) || account.count == 0 ||
                                 !same_process(account.owner, own))) {
        limit->uncounted--;
        return;
    }
    pillion_zone_update(limit->zone, key.data, key.size, UNDER_WAY_MS, sizeof(struct total),
                        leave_total, NULL);
    take_from_account(limit, &at);
}

/* ---- The filter ---- */

static pillion_verdict before(pillion_request *req)
{
    struct limit *limit = pillion_filter_config(req);
    limit->refused = NULL;
    if (limit->per_second > 0) {
        struct take take = {.limit = limit, .taken = true};
        struct key key = key_of(limit, req, 'r');
        /* A bucket that is full again need not be kept. */
        uint64_t ttl_ms = (uint64_t)(limit->most / limit->per_second * 1000) + 1000;
        pillion_zone_update(limit->zone, key.data, key.size, ttl_ms, sizeof(struct bucket),
                            take_token, &take);
        if (!take.taken) {
            limit->refused = req;
            /* Rounded up: a moment too early is refused again. */
            pillion_fail_retry(req, LIMITED, (uint64_t)(take.wait_seconds * 1000) + 1,
                               "more than %s; try again in %.3f s", limit->rate, take.wait_seconds);
            return PILLION_STOP;
        }
    }
    if (limit->concurrency > 0 && !enter(limit, req)) {
        limit->refused = req;
        pillion_fail_retry(req, LIMITED, UNDER_WAY_RETRY_MS,
                           "more than %lld requests are under way", (long long)limit->concurrency);
        return PILLION_STOP;
    }
    return PILLION_NEXT;
}

static void after(pillion_request *req)
{
    struct limit *limit = pillion_filter_config(req);

    if (limit->refused == req) /* the filter has refused it */
        limit->refused = NULL;
    else if (limit->concurrency > 0)
        leave(limit, req);
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
        [KEY_CLIENT] = "client", [KEY_METHOD] = "method", [KEY_ALL] = "all",
        [KEY_USER] = "user",     [KEY_CN] = "cn",
    };

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
    return pillion_error(
        error, "\"%s\" is no key: there are client, method, user, cn, member:NAME and all",
        limit->key);
}

/* Makes ids such that only statements with equal limits share their counts: a bucket cannot fill at
 * two rates, and a limit of four under way means nothing if a statement with another limit adds to
 * the count. */
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
    if (limit->rate == NULL && limit->burst > 0)
        return pillion_error(error, "burst does nothing without a rate: give rate, as in \"rate "
                                    "100/s\", or leave burst out");
    if (limit->rate != NULL && read_rate(limit, error) != 0)
        return -1;
    if (read_key(limit, error) != 0)
        return -1;
    make_ids(limit);
    own = (struct process){.pid = (int32_t)getpid(), .since = start_of(getpid())};
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
