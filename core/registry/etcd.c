/* See etcd.h: the link, the lease and the watches as one. */
#include "registry/etcd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "registry/etcd_lease.h"
#include "registry/etcd_watches.h"

#define TIMEOUT_MS     2500u
#define TIMEOUT_MIN_MS 250u
#define ANSWER_MAX     ((size_t)64 << 20)
#define FILE_MAX       ((off_t)4 << 20) /* of PEM */
#define PROBE_MAX_NS   (5 * NS_PER_S)
#define URL_MAX        512u

static_assert(ETCD_URLS_MAX == MEMBERS_MAX, "a row for each URL");

struct etcd {
    struct etcd_events events;
    void *context;
    char *user, *password;
    char *ca, *cert, *key; /* what the files have */
    struct etcd_link link;
    struct etcd_lease lease;
    struct etcd_watches watches;
};

/* ---- Events ---- */

static void tell_leased(void *context, int64_t lease)
{
    const struct etcd *etcd = context;

    if (etcd->events.leased != NULL)
        etcd->events.leased(etcd->context, lease);
}

static void tell_held(void *context, const char *key)
{
    const struct etcd *etcd = context;

    if (etcd->events.held != NULL)
        etcd->events.held(etcd->context, key);
}

static void tell_contact(void *context, bool there, const char *why)
{
    const struct etcd *etcd = context;

    if (etcd->events.contact != NULL)
        etcd->events.contact(etcd->context, there, why);
}

static void tell_trouble(void *context, const char *text)
{
    const struct etcd *etcd = context;

    if (etcd->events.trouble != NULL)
        etcd->events.trouble(etcd->context, text);
}

static void other_etcd(void *context)
{
    struct etcd *etcd = context;

    etcd_watches_again(&etcd->watches);
}

/* ---- Settings ---- */

/* The whole of a small file; NULL with the reason. */
static char *read_file(const char *path, struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat about;

    if (fd < 0 || fstat(fd, &about) != 0 || about.st_size > FILE_MAX) {
        if (fd >= 0 && about.st_size > FILE_MAX)
            errno = EFBIG;
        error_errno(error, "cannot read %s", path);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    char *data = must_zalloc((size_t)about.st_size + 1);
    ssize_t got = 0;
    for (off_t at = 0; at < about.st_size; at += got) {
        got = read(fd, data + at, (size_t)(about.st_size - at));
        if (got <= 0)
            break;
    }
    close(fd);
    if (strstr(data, "-----BEGIN ") != NULL)
        return data;
    error_set(error, "%s: there is no PEM in it (-----BEGIN …)", path);
    free(data);
    return NULL;
}

static bool read_tls(struct etcd *etcd, const struct etcd_settings *settings, const char *system_ca,
                     struct error *error)
{
    const char *ca = settings->ca != NULL ? settings->ca : system_ca;

    if ((settings->cert == NULL) != (settings->key == NULL))
        return error_set(error, "a certificate needs its key, and a key its certificate");
    if (!settings->unverified && ca == NULL)
        return error_set(error, "this system names nobody to trust: name a file by `ca`");
    if (!settings->unverified && (etcd->ca = read_file(ca, error)) == NULL)
        return false;
    if (settings->cert != NULL && ((etcd->cert = read_file(settings->cert, error)) == NULL ||
                                   (etcd->key = read_file(settings->key, error)) == NULL))
        return false;
    etcd->link.settings.has_tls = true;
    etcd->link.settings.tls = (struct http_tls){
        .ca = bytes_of(etcd->ca == NULL ? "" : etcd->ca),
        .cert = bytes_of(etcd->cert == NULL ? "" : etcd->cert),
        .key = bytes_of(etcd->key == NULL ? "" : etcd->key),
        .unverified = settings->unverified,
    };
    return true;
}

/* http://HOST:PORT, without a path: what is behind a slash at its end would be in front of "/v3".
 */
static bool take_url(struct etcd_members *members, const char *url, struct error *error)
{
    bool secure = strncmp(url, "https://", 8) == 0;
    const char *host = url + (secure ? 8 : 7);

    if (!secure && strncmp(url, "http://", 7) != 0)
        return error_set(
            error, "\"%s\" is no URL of a member: http://HOST:PORT or https://HOST:PORT", url);
    size_t size = strcspn(host, "/?#@ ");
    if (size == 0 || (host[size] != '\0' && strcmp(host + size, "/") != 0) || strlen(url) > URL_MAX)
        return error_set(error, "\"%s\" is no URL of a member: %s", url,
                         "it has a host, a port and nothing else");
    members->items[members->count++].url = must_strndup(url, (size_t)(host - url) + size);
    return true;
}

static bool take_urls(struct etcd *etcd, const struct etcd_settings *settings, bool *secure,
                      struct error *error)
{
    struct etcd_members *members = &etcd->link.members;
    uint64_t seed = 0;

    if (settings->url_count == 0 || settings->url_count > ETCD_URLS_MAX)
        return error_set(error, "etcd needs 1 to %u URLs, not %zu", ETCD_URLS_MAX,
                         settings->url_count);
    for (size_t i = 0; i < settings->url_count; i++) {
        if (!take_url(members, settings->urls[i], error))
            return false;
        *secure |= strncmp(settings->urls[i], "https:", 6) == 0;
    }
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
        seed = clock_ns() ^ (uint64_t)getpid() << 32;
    etcd_members_begin(members, seed);
    return true;
}

/* No answer may take so long that a second member cannot be asked within the lease's time. */
static uint32_t timeout_of(const struct etcd_settings *settings)
{
    uint32_t timeout = settings->timeout_ms == 0 ? TIMEOUT_MS : settings->timeout_ms;
    uint64_t most = (uint64_t)settings->ttl_s * 1000 / 4;

    if (settings->ttl_s != 0 && timeout > most)
        timeout = (uint32_t)most;
    return timeout < TIMEOUT_MIN_MS ? TIMEOUT_MIN_MS : timeout;
}

/* ---- Its life ---- */

static bool set_up_link(struct etcd *etcd, struct loop *loop, const struct http_table *http,
                        const struct etcd_settings *settings, struct error *error)
{
    bool secure = false;

    if ((settings->user == NULL) != (settings->password == NULL))
        return error_set(error, "a user needs a password, and a password a user");
    if (settings->ttl_s == 0)
        return error_set(error, "a lease of no time ends at once: name a `ttl` of 2s or more");
    etcd->user = settings->user == NULL ? NULL : must_strdup(settings->user);
    etcd->password = settings->password == NULL ? NULL : must_strdup(settings->password);
    etcd->link.settings = (struct etcd_link_settings){
        .user = etcd->user,
        .password = etcd->password,
        .timeout_ms = timeout_of(settings),
        .answer_max = settings->answer_max == 0 ? ANSWER_MAX : settings->answer_max,
        .contact = tell_contact,
        .trouble = tell_trouble,
        .other = other_etcd,
        .context = etcd};
    return take_urls(etcd, settings, &secure, error) &&
           (!secure || read_tls(etcd, settings, http->ca_file, error)) &&
           etcd_link_open(&etcd->link, loop, http, error);
}

static bool set_up(struct etcd *etcd, struct loop *loop, const struct http_table *http,
                   const struct etcd_settings *settings, struct error *error)
{
    uint64_t third = (uint64_t)settings->ttl_s * NS_PER_S / 3;

    if (!set_up_link(etcd, loop, http, settings, error))
        return false;
    etcd->lease = (struct etcd_lease){.link = &etcd->link,
                                      .ttl_s = settings->ttl_s,
                                      .leased = tell_leased,
                                      .held = tell_held,
                                      .context = etcd};
    etcd->watches = (struct etcd_watches){.link = &etcd->link,
                                          .events = etcd->events,
                                          .context = etcd->context,
                                          .probe_ns = third < PROBE_MAX_NS ? third : PROBE_MAX_NS,
                                          .bytes_max = etcd->link.settings.answer_max * 4};
    etcd_lease_open(&etcd->lease);
    etcd_watches_open(&etcd->watches);
    return true;
}

struct etcd *etcd_open(struct loop *loop, const struct http_table *http,
                       const struct etcd_settings *settings, const struct etcd_events *events,
                       void *context, struct error *error)
{
    struct etcd *etcd = must_zalloc(sizeof(*etcd));

    etcd->events = *events;
    etcd->context = context;
    if (set_up(etcd, loop, http, settings, error))
        return etcd;
    etcd_close(etcd);
    return NULL;
}

static void free_secret(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void etcd_close(struct etcd *etcd)
{
    if (etcd == NULL)
        return;
    etcd_watches_close(&etcd->watches);
    etcd_lease_close(&etcd->lease);
    etcd_link_close(&etcd->link);
    for (size_t i = 0; i < etcd->link.members.count; i++)
        free(etcd->link.members.items[i].url);
    free_secret(etcd->password);
    free_secret(etcd->key);
    free(etcd->user);
    free(etcd->ca);
    free(etcd->cert);
    free(etcd);
}

/* ---- What is asked of it ---- */

static bool name_fits(const char *what, const char *name, struct error *error)
{
    return strlen(name) <= ETCD_PREFIX_MAX ||
           error_set(error, "a %s of etcd has %u bytes at most, not %zu", what, ETCD_PREFIX_MAX,
                     strlen(name));
}

bool etcd_watch(struct etcd *etcd, const char *prefix, struct error *error)
{
    if (!name_fits("prefix", prefix, error))
        return false;
    etcd_watches_add(&etcd->watches, prefix);
    return true;
}

void etcd_unwatch(struct etcd *etcd, const char *prefix)
{
    etcd_watches_remove(&etcd->watches, prefix);
}

void etcd_resume(struct etcd *etcd, int64_t lease)
{
    etcd_lease_resume(&etcd->lease, lease);
}

bool etcd_hold(struct etcd *etcd, const char *key, struct bytes value, struct error *error)
{
    if (!name_fits("key", key, error))
        return false;
    if (*key == '\0')
        return error_set(error, "a key of etcd is not empty");
    etcd_lease_hold(&etcd->lease, key, value);
    return true;
}

void etcd_unhold(struct etcd *etcd, const char *key)
{
    etcd_lease_unhold(&etcd->lease, key);
}

void etcd_revoke(struct etcd *etcd, uint32_t timeout_ms, void (*done)(void *context, bool ended),
                 void *context)
{
    etcd_lease_end(&etcd->lease, timeout_ms, done, context);
}

void etcd_figures(const struct etcd *etcd, struct etcd_figures *figures)
{
    const struct etcd_link *link = &etcd->link;

    *figures = (struct etcd_figures){.requests = link->requests,
                                     .failures = link->failures,
                                     .moves = link->moves,
                                     .leases = etcd->lease.granted,
                                     .snapshots = etcd->watches.snapshots,
                                     .events = etcd->watches.changes,
                                     .sent = link->sent,
                                     .received = link->received,
                                     .member = link->members.items[link->members.at].url,
                                     .why = link->why,
                                     .lease = etcd->lease.id,
                                     .there = link->there};
    etcd_lease_count(&etcd->lease, &figures->keys, &figures->held);
}
