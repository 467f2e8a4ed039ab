/* The registry process: its loop, and the master's messages. See registry.h. */
#include "registry/registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/log_seldom.h"
#include "base/memory.h"
#include "process/child.h"
#include "process/sandbox.h"
#include "process/title.h"
#include "registry/contact.h"
#include "registry/etcd.h"
#include "registry/instances.h"
#include "registry/login.h"
#include "registry/names.h"
#include "registry/plugin.h"
#include "registry/wanted.h"
#include "rpc/registry_figure.h"

#define PUBLISH_NS (10 * NS_PER_MS) /* changes within that time are published together */
#define FIGURES_NS NS_PER_S
#define SOON_NS    (50 * NS_PER_MS)
/* When the registry is back, servers whose leases have ended meanwhile register again as soon as
 * they notice: after MEMBER_PAUSE_NS with all of its doublings, and some requests. They are kept
 * for so long where it was away for longer than this process takes to start. */
#define AWAY_NS     (500 * NS_PER_MS)
#define KEEP_NS     (15 * NS_PER_S)
#define PATIENCE_MS 500u /* beyond the time for an answer, for a first contact */

/* The one registry process. */
static struct {
    const struct registry_start *start;
    struct loop loop;
    struct watch master;
    struct directory *directory;
    struct etcd *etcd; /* NULL without a `registry` block */
    struct timer publish, figures, keep;
    enum offer offer;
    int64_t lease;
    uint64_t sent[REGISTRY_FIGURES]; /* the figures that the master has */
    bool forgetting;                 /* it does not know yet that former addresses are gone */
    bool asked;                      /* a MESSAGE_BEAT is to be answered with `question` */
    uint64_t question;
} registry;

/* ---- Telling the master ---- */

static void tell_text(enum message_type type, uint64_t serial, uint64_t number, const char *text)
{
    struct message message = {.type = type, .serial = serial, .number = number};

    snprintf(message.text, sizeof(message.text), "%s", text);
    channel_insist(registry.master.fd, &message, false);
}

static void tell(enum message_type type, uint64_t serial, uint64_t number)
{
    tell_text(type, serial, number, "");
}

static void gather_figures(uint64_t figures[REGISTRY_FIGURES])
{
    struct etcd_figures etcd = {0};

    if (registry.etcd != NULL)
        etcd_figures(registry.etcd, &etcd);
    figures[REGISTRY_THERE] = contact_is_there();
    figures[REGISTRY_LOST_NS] = contact_lost_ns();
    figures[REGISTRY_KEYS] = etcd.keys;
    figures[REGISTRY_HELD] = etcd.held;
    figures[REGISTRY_REQUESTS] = etcd.requests;
    figures[REGISTRY_FAILURES] = etcd.failures;
    figures[REGISTRY_MOVES] = etcd.moves;
    figures[REGISTRY_LEASES] = etcd.leases;
    figures[REGISTRY_SNAPSHOTS] = etcd.snapshots;
    figures[REGISTRY_EVENTS] = etcd.events;
    figures[REGISTRY_SENT] = etcd.sent;
    figures[REGISTRY_RECEIVED] = etcd.received;
    figures[REGISTRY_BAD] = instances_bad();
    const struct srv_figures dns = names_figures();
    figures[REGISTRY_NAMES] = dns.names;
    figures[REGISTRY_NAMES_AWAY] = dns.away;
    figures[REGISTRY_QUESTIONS] = dns.questions;
    figures[REGISTRY_QUESTIONS_FAILED] = dns.failures;
}

/* Former addresses are gone when the registry has as many as it is to have. */
static void tell_forgotten(void)
{
    if (!registry.forgetting || registry.sent[REGISTRY_KEYS] != registry.sent[REGISTRY_HELD] ||
        !contact_is_there())
        return;
    registry.forgetting = false;
    tell(MESSAGE_FORGOTTEN, 0, 0);
}

static void tell_figures(struct timer *timer)
{
    struct message message = {.type = MESSAGE_FIGURES, .count = REGISTRY_FIGURES};
    uint64_t figures[REGISTRY_FIGURES];

    gather_figures(figures);
    if (memcmp(figures, registry.sent, sizeof(figures)) != 0) {
        memcpy(registry.sent, figures, sizeof(figures));
        memcpy(message.ids, figures, sizeof(figures));
        channel_insist(registry.master.fd, &message, true);
    }
    tell_forgotten();
    bool settling = registry.forgetting || figures[REGISTRY_KEYS] != figures[REGISTRY_HELD];
    timer_set(&registry.loop, timer, settling && contact_is_there() ? SOON_NS : FIGURES_NS,
              tell_figures);
}

static void figures_soon(void)
{
    timer_set(&registry.loop, &registry.figures, 0, tell_figures);
}

/* ---- Publishing ---- */

static void publish(struct timer *timer)
{
    const char *name;
    struct error error;
    size_t count;
    bool known;

    (void)timer;
    if (!wanted_publish(&error))
        log_seldom(LOG_ERROR_LEVEL, NULL, "the servers that are known cannot be published: %s",
                   error.text);
    for (size_t i = 0; wanted_next(i, &name, &count, &known); i++)
        tell_text(MESSAGE_SERVICE, known, count, name);
    figures_soon();
}

static void changed(void)
{
    if (!timer_is_set(&registry.publish))
        timer_set(&registry.loop, &registry.publish, PUBLISH_NS, publish);
}

static void watch_prefix(const char *prefix, bool on)
{
    struct error error;

    if (registry.etcd == NULL) {
        /* By a generation that has one, and is not in use yet: another process follows then. */
        if (on)
            log_debug("\"registry:%s\" is wanted, and no \"registry\" is in use yet", prefix);
    } else if (!on) {
        etcd_unwatch(registry.etcd, prefix);
    } else if (!etcd_watch(registry.etcd, prefix, &error)) {
        log_error("the registry's %s cannot be watched: %s", prefix, error.text);
    }
}

static const struct wanted_events wanted_events = {
    .watch = watch_prefix, .look_up = names_set, .changed = changed};

/* ---- What the registry says ---- */

static void told_snapshot(void *context, const char *prefix, const struct etcd_row *rows,
                          size_t count)
{
    (void)context;
    wanted_snapshot(prefix, rows, count);
}

static void told_put(void *context, const char *prefix, struct bytes key, struct bytes value)
{
    (void)context;
    (void)prefix;
    wanted_put(key, value);
}

static void told_gone(void *context, const char *prefix, struct bytes key)
{
    (void)context;
    (void)prefix;
    wanted_gone(key);
}

static void told_leased(void *context, int64_t lease)
{
    bool lost = registry.lease != 0 && lease != 0 && lease != registry.lease;

    (void)context;
    registry.lease = lease;
    tell(MESSAGE_LEASE, (uint64_t)lease, lost);
    figures_soon();
}

static void told_held(void *context, const char *key)
{
    (void)context;
    log_info("%s is registered", key);
    figures_soon();
}

static void keep_no_more(struct timer *timer)
{
    (void)timer;
    wanted_keep(false);
}

static void told_contact(void *context, bool there, const char *why)
{
    uint64_t lost_ns = contact_lost_ns();

    (void)context;
    if (there && lost_ns != 0 && clock_ns() - lost_ns >= AWAY_NS) {
        wanted_keep(true);
        timer_set(&registry.loop, &registry.keep, KEEP_NS, keep_no_more);
    }
    contact_changed(there, why);
}

static void told_trouble(void *context, const char *text)
{
    (void)context;
    tell_text(MESSAGE_CONTACT, 0, CONTACT_REFUSED, text);
}

static const struct etcd_events etcd_events = {
    .snapshot = told_snapshot,
    .put = told_put,
    .gone = told_gone,
    .leased = told_leased,
    .held = told_held,
    .contact = told_contact,
    .trouble = told_trouble,
};

static void contact_told(bool there, const char *why)
{
    directory_contact(registry.directory, contact_lost_ns());
    tell_text(MESSAGE_CONTACT, 0, there ? CONTACT_THERE : CONTACT_LOST, why);
    figures_soon();
}

static const char *last_trouble(void)
{
    struct etcd_figures figures;

    etcd_figures(registry.etcd, &figures);
    return figures.why;
}

/* ---- This server's addresses ---- */

static char *key_of(const struct registry_offer *offer)
{
    return must_printf("%s/%s", registry.start->generation->settings->registry->prefix,
                       offer->address);
}

static void hold(const struct registry_offer *offer)
{
    struct registry_offer shown = *offer;
    struct text value = {0};
    struct error error;
    char *key = key_of(offer);

    shown.weight = registry.offer == OFFER_LITTLE ? 1 : offer->weight;
    record_write(&shown, &value);
    if (!etcd_hold(registry.etcd, key, (struct bytes){value.data, value.size}, &error))
        log_error("%s cannot be registered: %s", key, error.text);
    text_free(&value);
    free(key);
}

static void offer(enum offer how)
{
    const struct registry_start *start = registry.start;

    registry.offer = how;
    for (size_t i = 0; registry.etcd != NULL && i < start->offer_count; i++) {
        char *key = key_of(&start->offers[i]);
        if (how == OFFER_NONE)
            etcd_unhold(registry.etcd, key);
        else
            hold(&start->offers[i]);
        free(key);
    }
    figures_soon();
}

/* Keys that are held in the name of a former process are deleted as this one's own. */
static void forget_former(void)
{
    struct error error;

    for (size_t i = 0; i < registry.start->former_count; i++) {
        const char *key = registry.start->former[i];
        if (etcd_hold(registry.etcd, key, BYTES("{}"), &error))
            etcd_unhold(registry.etcd, key);
    }
    registry.forgetting = registry.start->former_count > 0;
}

static void revoked(void *context, bool ended)
{
    (void)context;
    registry.lease = 0;
    tell(MESSAGE_REVOKED, 0, ended);
    figures_soon();
}

static void take_back(uint64_t timeout_ms)
{
    registry.offer = OFFER_NONE;
    if (registry.etcd == NULL)
        revoked(NULL, true);
    else
        etcd_revoke(registry.etcd, (uint32_t)timeout_ms, revoked, NULL);
}

/* ---- The master ---- */

static void master_says(const struct message *message, const int *fds, uint32_t fd_count)
{
    if (message->type == MESSAGE_LOG && fd_count == 1) {
        log_adopt(fds[0]);
        return;
    }
    descriptors_close(fds, fd_count);
    switch (message->type) {
    case MESSAGE_BEAT:
        registry.asked = true;
        registry.question = message->serial;
        break;
    case MESSAGE_WATCH:
        wanted_set(message->text, message->number != 0);
        break;
    case MESSAGE_OFFER:
        offer((enum offer)message->number);
        break;
    case MESSAGE_REVOKE:
        take_back(message->number);
        break;
    case MESSAGE_STOP:
        _exit(0);
    default:
        break;
    }
}

static void master_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    if (channel_hear(watch->fd, master_says) == CHANNEL_CLOSED)
        _exit(0);
}

static void batch_done(struct loop *loop, void *context)
{
    (void)loop;
    (void)context;
    if (registry.asked && channel_tell(registry.master.fd, MESSAGE_ALIVE, registry.question, 0))
        registry.asked = false;
}

/* ---- The process ---- */

static _Noreturn void fail(const char *text)
{
    log_error("%s", text);
    channel_say(registry.start->channel, MESSAGE_FAILED, text);
    _exit(1);
}

/* Reads all that only root may read. */
static bool open_etcd(const struct registry_settings *settings, struct error *error)
{
    static struct login login;
    const struct registry_plugin *plugin;

    if (settings == NULL)
        return true;
    if ((plugin = registry_plugin_load(error)) == NULL)
        return false;
    if (login_read(settings, &login, error))
        registry.etcd =
            etcd_open(&registry.loop, plugin->http, &login.etcd, &etcd_events, NULL, error);
    login_forget(&login);
    return registry.etcd != NULL;
}

static void begin(const struct registry_settings *settings)
{
    const struct registry_start *start = registry.start;

    wanted_begin(registry.directory, &wanted_events);
    registry.lease = start->lease;
    if (registry.etcd != NULL) {
        contact_begin(&registry.loop, directory_lost_since(registry.directory),
                      settings->timeout_ms + PATIENCE_MS, contact_told, last_trouble);
        directory_contact(registry.directory, contact_lost_ns());
        if (start->lease != 0)
            etcd_resume(registry.etcd, start->lease);
        forget_former();
        if (start->offer != OFFER_NONE)
            offer(start->offer);
    }
    for (size_t i = 0; i < start->wanted_count; i++)
        wanted_set(start->wanted[i], true);
    figures_soon();
}

static void lock_down(const struct settings *settings)
{
    uint16_t ports[REGISTRY_URLS_MAX + RESOLVERS_MAX];
    size_t count = login_ports(settings->registry, ports, REGISTRY_URLS_MAX);

    count += names_ports(settings, ports + count);
    sandbox_enter_network(ports, count);
}

_Noreturn void registry_main(const struct registry_start *start)
{
    const struct settings *settings = start->generation->settings;
    struct error error;

    registry.start = start;
    child_begin((const int[]){start->channel, start->directory}, 2);
    log_identity("registry");
    title_set("registry");
    limit_open_files(0);
    privilege_protect();
    registry.directory = directory_map(start->directory, true, &error);
    if (registry.directory == NULL || !loop_init(&registry.loop, &error) ||
        !open_etcd(settings->registry, &error) ||
        !names_begin(&registry.loop, settings, wanted_answer, figures_soon, &error) ||
        !privilege_drop(&start->generation->identity, start->master, &error))
        fail(error.text);
    close(start->directory);
    privilege_protect(); /* changing the user has undone it (prctl(2)) */
    if (!loop_watch(&registry.loop, &registry.master, start->channel, EPOLLIN, master_ready)) {
        error_errno(&error, "the registry process cannot watch its master");
        fail(error.text);
    }
    registry.loop.after_batch = batch_done;
    if (settings->sandbox != SANDBOX_OFF)
        lock_down(settings);
    channel_say(start->channel, MESSAGE_READY, "");
    begin(settings->registry);
    loop_run(&registry.loop);
    _exit(0);
}
