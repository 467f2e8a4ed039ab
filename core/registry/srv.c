/* Keeping the sets of names. See srv.h.
 *
 * A name is asked for in rounds: its records, then the addresses of the targets with the lowest
 * priority that came without them, then, where those have none, those of the next priority. The
 * round's end changes the set, or keeps it, and says when the next one begins. */
#include "registry/srv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log_seldom.h"
#include "base/memory.h"
#include "registry/dns_name.h"

struct name;

/* A target of the round's priority whose addresses are looked up. */
struct lookup {
    struct name *name;
    struct srv_target target;
    struct resolver_query *query; /* NULL: it is done */
    enum dns_type type;           /* that is asked for */
};

struct name {
    struct srv *srv;
    struct name *next;
    char *text;                   /* as it is wanted */
    struct timer timer;           /* until the next round */
    struct resolver_query *query; /* for its records */

    struct dns_server *servers;      /* the round's records, in the order of their priorities */
    size_t server_count, first, end; /* those of the priority that is looked at */
    struct lookup *lookups;          /* `lookup_count` of them, `pending` without an answer */
    size_t lookup_count, pending;
    uint32_t ttl_s;
    struct error trouble; /* "" while all could be looked up */

    struct srv_set set;
    bool known;        /* there was an answer at all */
    bool away;         /* none of the last round's could be had */
    uint32_t failures; /* rounds in a row that have failed */
    uint32_t nothings; /* that have found that there is nothing */
};

struct srv {
    struct loop *loop;
    const struct dns_table *table;
    struct resolver *resolver;
    struct srv_events events;
    void *context;
    struct name *names;
    size_t count;
    bool follows; /* RESOLVER_CONF */
    struct stat seen;
};

static void begin_round(struct timer *timer);

/* ---- Name servers ---- */

static bool is_same_file(const struct stat *one, const struct stat *other)
{
    return one->st_ino == other->st_ino && one->st_dev == other->st_dev &&
           one->st_size == other->st_size && one->st_mtim.tv_sec == other->st_mtim.tv_sec &&
           one->st_mtim.tv_nsec == other->st_mtim.tv_nsec;
}

/* Reads resolv.conf where it has changed. One that cannot be read changes nothing. */
static bool look_at_conf(struct srv *srv, struct resolver_servers *servers)
{
    struct stat now;
    struct error error;

    if (!srv->follows || stat(RESOLVER_CONF, &now) < 0 || is_same_file(&srv->seen, &now))
        return false;
    srv->seen = now;
    if (resolver_conf_load(srv->table, servers, &error))
        return true;
    log_seldom(LOG_WARN_LEVEL, NULL, "name servers: %s; those of before are asked", error.text);
    return false;
}

/* ---- The end of a round ---- */

static void forget_round(struct name *name)
{
    for (size_t i = 0; i < name->lookup_count; i++) {
        if (name->lookups[i].query != NULL)
            resolver_cancel(name->lookups[i].query);
    }
    free(name->lookups);
    free(name->servers);
    name->lookups = NULL;
    name->servers = NULL;
    name->lookup_count = name->pending = name->server_count = name->first = name->end = 0;
}

static void end_round(struct name *name, uint64_t ms)
{
    forget_round(name);
    timer_set(name->srv->loop, &name->timer, ms * NS_PER_MS, begin_round);
}

static void tell_contact(struct name *name, bool there, const char *why)
{
    const struct srv *srv = name->srv;

    if (name->away == !there)
        return;
    name->away = !there;
    if (there)
        log_notice("srv:%s: DNS answers again", name->text);
    else if (name->set.count > 0)
        log_warn("srv:%s: %s; the %zu servers that are known stay in use", name->text, why,
                 name->set.count);
    else /* the process before may have known some */
        log_warn("srv:%s: %s; what was known stays in use", name->text, why);
    if (srv->events.contact != NULL)
        srv->events.contact(srv->context, name->text, there, why);
}

static void log_set(const struct name *name)
{
    struct text list = {0};

    for (size_t i = 0; i < name->set.count && i < 8; i++)
        text_printf(&list, "%s%s", i == 0 ? ": " : ", ", name->set.members[i].row.address);
    log_info("srv:%s: %zu servers%s%s", name->text, name->set.count, text_string(&list),
             name->set.count > 8 ? ", …" : "");
    text_free(&list);
}

/* The set is this one now, whose members are the callee's. */
static void use_set(struct name *name, struct srv_set *set)
{
    const struct srv *srv = name->srv;
    bool changed = !name->known || !srv_set_same(&name->set, set);

    free(name->set.members);
    name->set = *set;
    name->known = true;
    if (!changed)
        return;
    log_set(name);
    struct srv_row *rows = must_alloc((set->count + 1) * sizeof(*rows));
    for (size_t i = 0; i < set->count; i++)
        rows[i] = set->members[i].row;
    srv->events.changed(srv->context, name->text, rows, set->count);
    free(rows);
}

static uint64_t bounded(uint64_t ms, uint64_t least, uint64_t most)
{
    return ms < least ? least : ms > most ? most : ms;
}

static uint64_t retry_ms(const struct name *name)
{
    uint32_t shift = name->failures > 8 ? 8 : name->failures - 1;

    return bounded((uint64_t)SRV_RETRY_MIN_MS << shift, SRV_RETRY_MIN_MS, SRV_RETRY_MAX_MS);
}

/* Nobody can say: what is known stays. */
static void round_failed(struct name *name, const char *why)
{
    name->failures++;
    name->nothings = 0;
    tell_contact(name, false, why);
    end_round(name, retry_ms(name));
}

/* There is nothing, and that holds for `ttl_s` seconds. */
static void found_nothing(struct name *name, uint32_t ttl_s, bool decided)
{
    struct srv_set empty = {0};
    bool repeated = name->nothings++ > 0;

    name->failures = 0;
    tell_contact(name, true, "");
    if (name->set.count > 0 && !repeated && !decided) {
        log_warn("srv:%s: DNS knows no servers; it is asked once more, and the %zu that are known "
                 "stay in use until then",
                 name->text, name->set.count);
        end_round(name, SRV_AGAIN_MS);
        return;
    }
    if (!name->known || name->set.count > 0)
        log_warn("srv:%s: DNS knows no servers%s", name->text,
                 decided ? ": its record says that there is no such service" : "");
    use_set(name, &empty);
    end_round(name, bounded((uint64_t)ttl_s * 1000, SRV_TTL_MIN_MS,
                            decided ? SRV_TTL_MAX_MS : SRV_NOTHING_MAX_MS));
}

static void round_found(struct name *name, struct srv_set *set)
{
    bool partly = name->trouble.text[0] != '\0';
    uint64_t ms = bounded((uint64_t)name->ttl_s * 1000, SRV_TTL_MIN_MS, SRV_TTL_MAX_MS);

    name->nothings = 0;
    tell_contact(name, true, "");
    if (set->cut)
        log_seldom(LOG_WARN_LEVEL, name,
                   "srv:%s: DNS knows more servers than %u, which are used: the others are left "
                   "out",
                   name->text, SRV_ROWS_MAX);
    name->failures = partly ? name->failures + 1 : 0;
    if (partly)
        log_seldom(LOG_WARN_LEVEL, name,
                   "srv:%s: not all of its targets can be looked up, and what was known of them "
                   "stays in use: %s",
                   name->text, name->trouble.text);
    use_set(name, set);
    end_round(name, partly && retry_ms(name) < ms ? retry_ms(name) : ms);
}

/* ---- Addresses of targets ---- */

static void begin_priority(struct name *name, const struct dns_answer *answer);

static const struct srv_target *target_of(const struct name *name, const char *text)
{
    size_t i = 0;

    while (strcmp(name->lookups[i].target.name, text) != 0)
        i++;
    return &name->lookups[i].target;
}

/* All targets of the priority are looked up. */
static void settle_priority(struct name *name)
{
    struct srv_set set = {.members = must_alloc(SRV_ROWS_MAX * sizeof(*set.members))};

    for (size_t i = name->first; i < name->end; i++)
        srv_set_add(&set, &name->servers[i], target_of(name, name->servers[i].target), &name->set);
    srv_set_finish(&set);
    if (set.count > 0) {
        round_found(name, &set);
        return;
    }
    free(set.members);
    if (name->trouble.text[0] != '\0') {
        round_failed(name, name->trouble.text);
        return;
    }
    name->first = name->end;
    if (name->first == name->server_count)
        found_nothing(name, name->ttl_s, false);
    else
        begin_priority(name, NULL);
}

static void addresses_told(void *context, const struct resolver_reply *reply);

static void ask_addresses(struct lookup *lookup, enum dns_type type)
{
    lookup->type = type;
    lookup->query = resolver_ask(lookup->name->srv->resolver, lookup->target.name, type, 0,
                                 addresses_told, lookup);
}

static void addresses_told(void *context, const struct resolver_reply *reply)
{
    struct lookup *lookup = context;
    struct name *name = lookup->name;

    lookup->query = NULL;
    if (reply->status == DNS_FAILED) {
        lookup->target.failed = true;
        error_set(&name->trouble, "%s: %s", lookup->target.name, reply->why);
    } else if (reply->status == DNS_FOUND) {
        srv_target_take(&lookup->target, reply->answer, (uint16_t)lookup->type, &name->ttl_s);
    }
    if (lookup->target.count == 0 && !lookup->target.failed && lookup->type == DNS_A) {
        ask_addresses(lookup, DNS_AAAA);
        return;
    }
    if (--name->pending == 0)
        settle_priority(name);
}

/* Adds a target unless it is there. */
static void add_lookup(struct name *name, const char *target)
{
    for (size_t i = 0; i < name->lookup_count; i++) {
        if (strcmp(name->lookups[i].target.name, target) == 0)
            return;
    }
    struct lookup *lookup = &name->lookups[name->lookup_count++];
    lookup->name = name;
    strcpy(lookup->target.name, target);
}

/* Looks up the targets of the records from `first` on that have one priority. Addresses that came
 * with the records (`answer`, or NULL) are not asked for. */
static void begin_priority(struct name *name, const struct dns_answer *answer)
{
    size_t size = srv_priority_size(&name->servers[name->first], name->server_count - name->first);

    name->end = name->first + size;
    free(name->lookups);
    name->lookups = must_zalloc(size * sizeof(*name->lookups));
    name->lookup_count = name->pending = 0;
    for (size_t i = name->first; i < name->end; i++)
        add_lookup(name, name->servers[i].target);
    for (size_t i = 0; i < name->lookup_count; i++) {
        struct lookup *lookup = &name->lookups[i];
        if (answer != NULL)
            srv_target_take(&lookup->target, answer, DNS_A, &name->ttl_s);
        if (lookup->target.count > 0)
            continue;
        name->pending++;
        ask_addresses(lookup, DNS_A);
    }
    if (name->pending == 0)
        settle_priority(name);
}

/* ---- Records ---- */

static void take_servers(struct name *name, const struct dns_answer *answer)
{
    size_t size = answer->found_count * sizeof(*name->servers);

    name->servers = must_alloc(size);
    memcpy(name->servers, answer->found, size);
    name->server_count = srv_sort(name->servers, answer->found_count);
    name->first = 0;
    if (answer->cut)
        log_seldom(LOG_WARN_LEVEL, name,
                   "srv:%s: records whose targets are no host names, or that are more than %u, "
                   "are left out",
                   name->text, DNS_SERVERS_MAX);
    if (name->server_count > 0)
        begin_priority(name, answer);
    else /* "." (RFC 2782), or records that nobody can be reached by */
        found_nothing(name, name->ttl_s, true);
}

static void servers_told(void *context, const struct resolver_reply *reply)
{
    struct name *name = context;

    name->query = NULL;
    if (reply->status == DNS_FAILED) {
        round_failed(name, reply->why);
        return;
    }
    name->ttl_s = reply->answer->ttl_s;
    if (reply->status == DNS_NONE || reply->answer->found_count == 0)
        found_nothing(name, name->ttl_s, false);
    else
        take_servers(name, reply->answer);
}

static void begin_round(struct timer *timer)
{
    struct name *name = container_of(timer, struct name, timer);
    struct srv *srv = name->srv;
    struct resolver_servers servers;

    if (look_at_conf(srv, &servers))
        resolver_change(srv->resolver, &servers);
    name->trouble.text[0] = '\0';
    name->query =
        resolver_ask(srv->resolver, name->text, DNS_SRV, name->nothings > 0, servers_told, name);
}

/* ---- Names ---- */

static struct name **find(struct srv *srv, const char *text)
{
    struct name **at = &srv->names;

    while (*at != NULL && strcmp((*at)->text, text) != 0)
        at = &(*at)->next;
    return at;
}

bool srv_want(struct srv *srv, const char *text, struct error *error)
{
    const char *why;

    if (!dns_name_check(text, &why))
        return error_set(error, "srv:%s: this is no name that DNS can be asked for: %s", text, why);
    if (*find(srv, text) != NULL)
        return true;
    if (srv->count == SRV_NAMES_MAX)
        return error_set(error, "srv:%s: one name too many: there may be %u", text, SRV_NAMES_MAX);
    struct name *name = must_zalloc(sizeof(*name));
    name->srv = srv;
    name->text = must_strdup(text);
    name->next = srv->names;
    srv->names = name;
    srv->count++;
    timer_set(srv->loop, &name->timer, 0, begin_round);
    return true;
}

static void drop(struct srv *srv, struct name **at)
{
    struct name *name = *at;

    *at = name->next;
    srv->count--;
    if (name->query != NULL)
        resolver_cancel(name->query);
    forget_round(name);
    timer_cancel(srv->loop, &name->timer);
    free(name->set.members);
    free(name->text);
    free(name);
}

void srv_unwant(struct srv *srv, const char *text)
{
    struct name **at = find(srv, text);
    if (*at != NULL)
        drop(srv, at);
}

struct srv_figures srv_figures(const struct srv *srv)
{
    const struct resolver_figures asked = resolver_figures(srv->resolver);
    struct srv_figures figures = {
        .names = srv->count, .questions = asked.questions, .failures = asked.failures};

    for (const struct name *name = srv->names; name != NULL; name = name->next)
        figures.away += name->away;
    return figures;
}

/* ---- Opening ---- */

struct srv *srv_open(struct loop *loop, const struct dns_table *table,
                     const struct resolver_servers *servers, const struct srv_events *events,
                     void *context)
{
    struct srv *srv = must_zalloc(sizeof(*srv));
    struct resolver_servers own;

    srv->loop = loop;
    srv->table = table;
    srv->events = *events;
    srv->context = context;
    srv->follows = servers == NULL;
    if (!look_at_conf(srv, &own))
        resolver_servers_default(&own);
    srv->resolver = resolver_open(loop, table, servers == NULL ? &own : servers);
    return srv;
}

void srv_close(struct srv *srv)
{
    while (srv->names != NULL)
        drop(srv, &srv->names);
    resolver_close(srv->resolver);
    free(srv);
}
