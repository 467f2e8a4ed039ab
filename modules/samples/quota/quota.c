/* quota: a filter. Each user may call so many times in a window of time; what is used up is counted
 * in a zone, which all workers share and which reloads, crashes and upgrades leave as it is.
 *
 *     zone quotas 1m;
 *     load_module modules/quota.so;
 *     server {
 *         ...
 *         filter auth { user_file conf/users; }  # says whose request it is
 *         filter quota { zone quotas; calls 1000; per 1h; }
 *         method ping;
 *         method quota.left;                     # null -> {"calls": 1000, "left": 999}
 *     }
 *
 *     cc -shared -fPIC $(pkg-config --cflags pillion) -o quota.so quota.c */
#include <pillion/module.h>
#include <string.h>
#include <time.h>

/* A `filter quota { … }` statement. */
struct quota {
    const char *zone_name;
    int64_t calls;
    uint64_t per_ms;

    pillion_zone *zone; /* its own: no directive fills it */
};

static const pillion_directive directives[] = {
    {.name = "zone",
     .type = PILLION_STRING,
     .offset = offsetof(struct quota, zone_name),
     .required = true,
     .summary = "The zone that holds the counts."},
    {.name = "calls",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct quota, calls),
     .required = true,
     .min = 1,
     .max = INT64_MAX,
     .summary = "How many calls each user has."},
    {.name = "per",
     .type = PILLION_TIME,
     .offset = offsetof(struct quota, per_ms),
     .fallback = "1h",
     .min = 1000,
     .max = 86400000,
     .summary = "The window of time, which begins with a user's first call."},
    {0},
};

static int quota_start(pillion_instance *self, void *config, pillion_error_text *error)
{
    struct quota *quota = config;

    quota->zone = pillion_zone_open(self, quota->zone_name);
    if (quota->zone == NULL)
        return pillion_error_at(error, "zone", "there is no zone \"%s\"; add `zone %s 1m;`",
                                quota->zone_name, quota->zone_name);
    return 0;
}

/* What the zone holds for a user. It expires with its window. */
struct window {
    int64_t used;
    int64_t ends_ms; /* of CLOCK_MONOTONIC, which all processes share */
};

/* What the filter tells the handler, and the handler the client. */
struct left {
    int64_t calls, left;
};

static const pillion_param left_rows[] = {
    PILLION_PARAM(struct left, calls, PILLION_INTEGER, .summary = "In a window of time."),
    PILLION_PARAM(struct left, left, PILLION_INTEGER, .summary = "In this one."),
    {0},
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct call {
    const struct quota *quota;
    struct window window; /* as it is with this call */
};

/* Under the zone's lock: short, and one step for all workers. */
static void count(void *value, bool fresh, void *data)
{
    struct window *window = value;
    struct call *call = data;

    if (fresh)
        window->ends_ms = now_ms() + (int64_t)call->quota->per_ms;
    window->used++;
    call->window = *window;
}

/* The user that `auth` has found; without one, the client's address. Sets `size`. */
static const char *whose(const pillion_request *req, size_t *size)
{
    const char *user = pillion_value(req, "auth.user"), *peer = pillion_peer(req);

    *size =
        user != NULL ? strlen(user) : (size_t)(strrchr(peer, ':') - peer); /* without its port */
    return user != NULL ? user : peer;
}

static pillion_verdict before(pillion_request *req)
{
    struct quota *quota = pillion_filter_config(req);
    struct call call = {.quota = quota};
    size_t size;
    const char *user = whose(req, &size);

    if (!pillion_zone_update(quota->zone, user, size, PILLION_ONCE(quota->per_ms),
                             sizeof(struct window), count, &call)) {
        pillion_fail(req, PILLION_INVALID_PARAMS, "the name of the user is too long to be counted");
        return PILLION_STOP;
    }
    if (call.window.used > quota->calls) {
        int64_t wait_ms = call.window.ends_ms - now_ms();
        pillion_fail_retry(req, "quota_exceeded", wait_ms > 0 ? (uint64_t)wait_ms : 1,
                           "all of the %lld calls have been made", (long long)quota->calls);
        return PILLION_STOP;
    }
    struct left *left = pillion_alloc(req, sizeof(*left));
    if (left != NULL) {
        *left = (struct left){quota->calls, quota->calls - call.window.used};
        pillion_set_value(req, "quota.left", left);
    }
    return PILLION_NEXT;
}

static const pillion_filter filters[] = {
    {.name = "quota",
     .before = before,
     .start = quota_start,
     .summary = "Each user may call so many times in a window of time.",
     .directives = directives,
     .config_size = sizeof(struct quota)},
    {0},
};

static void left(pillion_request *req)
{
    const struct left *left = pillion_value(req, "quota.left");

    if (left == NULL)
        pillion_fail(req, "no_quota", "this method has no `filter quota`");
    else
        pillion_reply_struct(req, "quota", left);
}

/* It takes no params: a table without rows. */
static const pillion_param no_params[] = {{0}};

static const pillion_method methods[] = {
    {.name = "quota.left",
     .handler = left,
     .summary = "How many calls the caller has left.",
     .read_only = true,
     .args = no_params,
     PILLION_GIVES(struct left, left_rows)},
    {0},
};

PILLION_MODULE(.name = "quota", .version = "1.0.0", .summary = "Quotas of users.",
               .methods = methods, .filters = filters);
