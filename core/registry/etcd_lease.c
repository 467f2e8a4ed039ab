/* See etcd_lease.h. */
#include "registry/etcd_lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "registry/etcd_text.h"

#define PUTS_MAX   8u  /* keys that are put at once */
#define LOOK_BEATS 5u  /* signs of life from one look at the lease's keys to the next */
#define DOUBTS     20u /* looks after a put without an answer: three minutes, for leases of 5 s */

static void move_on(struct etcd_lease *lease);

static struct etcd_hold *find(const struct etcd_lease *lease, const char *key)
{
    for (struct etcd_hold *hold = lease->holds; hold != NULL; hold = hold->next) {
        if (!hold->dead && strcmp(hold->key, key) == 0)
            return hold;
    }
    return NULL;
}

/* ---- The end of a hold, later: an event may be what has led to it ---- */

static void free_dead(struct timer *timer)
{
    struct etcd_lease *lease = container_of(timer, struct etcd_lease, tidy);
    struct etcd_hold **place = &lease->holds;

    while (*place != NULL) {
        struct etcd_hold *hold = *place;
        if (!hold->dead) {
            place = &hold->next;
            continue;
        }
        *place = hold->next;
        free(hold->key);
        free(hold->value);
        free(hold);
    }
}

static void bury(struct etcd_hold *hold)
{
    etcd_link_drop(&hold->ask);
    hold->dead = true;
    timer_set(hold->lease->link->loop, &hold->lease->tidy, 0, free_dead);
}

/* ---- The lease ---- */

static bool is_wanted(const struct etcd_lease *lease)
{
    for (const struct etcd_hold *hold = lease->holds; hold != NULL; hold = hold->next) {
        if (!hold->dead && !hold->leaving)
            return true;
    }
    return false;
}

/* Its keys went with it. */
static void lost(struct etcd_lease *lease)
{
    lease->id = 0;
    lease->sure = lease->resumed = false;
    etcd_link_drop(&lease->alive);
    etcd_link_drop(&lease->look);
    timer_cancel(lease->link->loop, &lease->beat);
    for (struct etcd_hold *hold = lease->holds; hold != NULL; hold = hold->next) {
        etcd_link_drop(&hold->ask);
        hold->there_at = 0;
        hold->tried = false;
        if (hold->leaving && !hold->dead)
            bury(hold);
    }
    move_on(lease);
}

static void due(struct timer *timer)
{
    struct etcd_lease *lease = container_of(timer, struct etcd_lease, beat);

    if (lease->id == 0)
        move_on(lease);
    else
        etcd_link_ask(lease->link, &lease->alive);
}

/* The time counts from when the question was sent: etcd may have had it then. */
static void beat_again(struct etcd_lease *lease, const struct etcd_ask *ask, int64_t ttl)
{
    lease->beat_ns = (uint64_t)ttl * NS_PER_S / 3;
    timer_set_at(lease->link->loop, &lease->beat, ask->sent_at + lease->beat_ns, due);
}

static void take_grant(struct etcd_ask *ask, const struct etcd_answer *answer)
{
    struct etcd_lease *lease = container_of(ask, struct etcd_lease, grant);

    if (answer->verdict != ETCD_FINE || answer->lease == 0 || answer->ttl <= 0) {
        etcd_link_trouble(lease->link, "etcd has granted a lease that is none; it is asked again");
        timer_set(lease->link->loop, &lease->beat, NS_PER_S, due);
        return;
    }
    lease->id = answer->lease;
    lease->sure = true;
    lease->granted++;
    lease->beats = 0;
    beat_again(lease, ask, answer->ttl);
    lease->leased(lease->context, lease->id);
    move_on(lease);
}

static char *make_grant(struct etcd_ask *ask)
{
    return etcd_text_grant(container_of(ask, struct etcd_lease, grant)->ttl_s);
}

static char *make_alive(struct etcd_ask *ask)
{
    return etcd_text_lease(container_of(ask, struct etcd_lease, alive)->id);
}

static void take_alive(struct etcd_ask *ask, const struct etcd_answer *answer)
{
    struct etcd_lease *lease = container_of(ask, struct etcd_lease, alive);

    if (answer->verdict == ETCD_NO_LEASE || answer->ttl <= 0) {
        lost(lease);
        return;
    }
    lease->sure = true;
    beat_again(lease, ask, answer->ttl);
    if (++lease->beats % LOOK_BEATS == 0)
        etcd_link_ask(lease->link, &lease->look);
    move_on(lease);
}

/* ---- Whether the keys are there ---- */

static char *make_look(struct etcd_ask *ask)
{
    return etcd_text_lease_keys(container_of(ask, struct etcd_lease, look)->id);
}

static bool has_key(const struct etcd_answer *answer, const char *key)
{
    for (size_t i = 0; i < answer->key_count; i++) {
        if (bytes_equal(answer->keys[i], bytes_of(key)))
            return true;
    }
    return false;
}

static struct etcd_hold *add_hold(struct etcd_lease *lease, const char *key);

/* A put that was late has made a key again that is to be gone. No other has this lease. */
static void delete_strays(struct etcd_lease *lease, const struct etcd_answer *answer)
{
    for (size_t i = 0; i < answer->key_count; i++) {
        struct bytes found = answer->keys[i];
        if (memchr(found.data, '\0', found.size) != NULL)
            continue; /* none of ours */
        char *key = must_strndup(found.data, found.size);
        if (find(lease, key) == NULL)
            add_hold(lease, key)->leaving = true;
        free(key);
    }
}

/* One that was deleted or taken is put again, and one whose value is in doubt is compared. */
static void look_at(struct etcd_hold *hold, const struct etcd_answer *answer)
{
    char text[300];

    if (has_key(answer, hold->key)) {
        hold->check = hold->check || (hold->doubts > 0 && hold->version > 1);
        hold->doubts -= hold->doubts > 0;
        return;
    }
    snprintf(text, sizeof(text),
             "%.200s was deleted, or is registered by another server; it is put again", hold->key);
    etcd_link_trouble(hold->lease->link, text);
    hold->there_at = 0;
}

static void take_look(struct etcd_ask *ask, const struct etcd_answer *answer)
{
    struct etcd_lease *lease = container_of(ask, struct etcd_lease, look);

    if (answer->verdict != ETCD_FINE || answer->ttl <= 0) {
        lost(lease);
        return;
    }
    for (struct etcd_hold *hold = lease->holds; hold != NULL; hold = hold->next) {
        if (hold->there_at != 0 && hold->there_at <= ask->sent_at)
            look_at(hold, answer);
    }
    delete_strays(lease, answer);
    move_on(lease);
}

/* ---- Keys ---- */

static char *make_hold(struct etcd_ask *ask)
{
    struct etcd_hold *hold = container_of(ask, struct etcd_hold, ask);
    const struct bytes value = {hold->value, hold->value_size};
    bool plain = !hold->lease->resumed && !hold->tried;

    hold->deleting = hold->leaving;
    ask->path = plain && !hold->deleting ? "/v3/kv/put" : "/v3/kv/txn";
    if (hold->deleting)
        return etcd_text_delete(hold->key, hold->lease->id);
    if (hold->unanswered)
        hold->doubts = DOUBTS;
    hold->put_version = hold->version;
    hold->tried = hold->unanswered = true;
    hold->check = false;
    return plain ? etcd_text_put(hold->key, value, hold->lease->id)
                 : etcd_text_put_unless(hold->key, value, hold->lease->id);
}

static void take_hold(struct etcd_ask *ask, const struct etcd_answer *answer)
{
    struct etcd_hold *hold = container_of(ask, struct etcd_hold, ask);
    struct etcd_lease *lease = hold->lease;

    if (answer->verdict == ETCD_NO_LEASE) {
        lost(lease);
        return;
    }
    if (hold->deleting) {
        bury(hold);
        move_on(lease);
        return;
    }
    hold->unanswered = false;
    if (hold->put_version == hold->version) {
        bool before = hold->there_at != 0; /* it was only compared */
        hold->there_at = clock_ns();
        if (!hold->leaving && !before)
            lease->held(lease->context, hold->key);
    }
    move_on(lease);
}

static bool has_to_ask(const struct etcd_hold *hold)
{
    return !hold->dead && !etcd_link_asked(&hold->ask) &&
           (hold->leaving || hold->there_at == 0 || hold->check);
}

/* Asks for what is missing: the lease first, then the keys, a few at a time. */
static void move_on(struct etcd_lease *lease)
{
    uint32_t asked = 0;

    if (lease->ended != NULL)
        return;
    if (lease->id == 0) {
        if (is_wanted(lease))
            etcd_link_ask(lease->link, &lease->grant);
        return;
    }
    if (!lease->sure)
        return;
    for (struct etcd_hold *hold = lease->holds; hold != NULL; hold = hold->next)
        asked += etcd_link_asked(&hold->ask);
    for (struct etcd_hold *hold = lease->holds; hold != NULL && asked < PUTS_MAX;
         hold = hold->next) {
        if (has_to_ask(hold)) {
            etcd_link_ask(lease->link, &hold->ask);
            asked++;
        }
    }
}

/* At the end: the first ones are put first. */
static struct etcd_hold *add_hold(struct etcd_lease *lease, const char *key)
{
    struct etcd_hold **end = &lease->holds, *hold;

    while (*end != NULL)
        end = &(*end)->next;
    hold = *end = must_zalloc(sizeof(*hold));
    hold->lease = lease;
    hold->key = must_strdup(key);
    hold->ask = (struct etcd_ask){.about = hold->key, .make = make_hold, .take = take_hold};
    return hold;
}

void etcd_lease_hold(struct etcd_lease *lease, const char *key, struct bytes value)
{
    struct etcd_hold *hold = find(lease, key);

    if (hold == NULL) {
        hold = add_hold(lease, key);
    } else if (!hold->leaving && hold->value_size == value.size &&
               memcmp(hold->value, value.data, value.size) == 0) {
        return;
    }
    free(hold->value);
    hold->value = must_alloc(value.size + 1);
    memcpy(hold->value, value.data, value.size);
    hold->value_size = value.size;
    hold->version++;
    hold->there_at = 0;
    hold->leaving = false;
    move_on(lease);
}

void etcd_lease_unhold(struct etcd_lease *lease, const char *key)
{
    struct etcd_hold *hold = find(lease, key);

    if (hold == NULL)
        return;
    hold->leaving = true;
    if (!hold->tried && !lease->resumed)
        bury(hold);
    else
        move_on(lease);
}

/* ---- The life of all of it ---- */

void etcd_lease_resume(struct etcd_lease *lease, int64_t id)
{
    if (lease->id != 0 || id == 0)
        return;
    lease->id = id;
    lease->resumed = true;
    lease->sure = false;
    etcd_link_ask(lease->link, &lease->alive);
}

static void tell_ended(struct etcd_lease *lease, bool ended)
{
    void (*tell)(void *context, bool ended) = lease->ended;

    etcd_link_drop(&lease->end);
    timer_cancel(lease->link->loop, &lease->deadline);
    lease->id = 0;
    lease->sure = lease->resumed = false;
    lease->ended = NULL;
    lease->leased(lease->context, 0);
    if (tell != NULL)
        tell(lease->ended_context, ended);
    move_on(lease);
}

static void take_end(struct etcd_ask *ask, const struct etcd_answer *answer)
{
    (void)answer; /* that there is no such lease is as good */
    tell_ended(container_of(ask, struct etcd_lease, end), true);
}

static void end_is_late(struct timer *timer)
{
    struct etcd_lease *lease = container_of(timer, struct etcd_lease, deadline);

    tell_ended(lease, lease->id == 0);
}

static char *make_end(struct etcd_ask *ask)
{
    return etcd_text_lease(container_of(ask, struct etcd_lease, end)->id);
}

static void drop_asks(struct etcd_lease *lease)
{
    struct etcd_ask *asks[] = {&lease->grant, &lease->alive, &lease->look, &lease->end};

    for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++)
        etcd_link_drop(asks[i]);
    timer_cancel(lease->link->loop, &lease->beat);
    timer_cancel(lease->link->loop, &lease->deadline);
    for (struct etcd_hold *hold = lease->holds; hold != NULL; hold = hold->next) {
        if (!hold->dead)
            bury(hold);
    }
}

void etcd_lease_end(struct etcd_lease *lease, uint32_t timeout_ms,
                    void (*ended)(void *context, bool ended), void *context)
{
    drop_asks(lease);
    lease->ended = ended;
    lease->ended_context = context;
    timer_set(lease->link->loop, &lease->deadline, lease->id == 0 ? 0 : timeout_ms * NS_PER_MS,
              end_is_late);
    if (lease->id != 0)
        etcd_link_ask(lease->link, &lease->end);
}

void etcd_lease_count(const struct etcd_lease *lease, size_t *keys, size_t *held)
{
    *keys = *held = 0;
    for (const struct etcd_hold *hold = lease->holds; hold != NULL; hold = hold->next) {
        if (hold->dead)
            continue;
        *keys += !hold->leaving;
        *held += hold->leaving || hold->there_at != 0;
    }
}

void etcd_lease_open(struct etcd_lease *lease)
{
    lease->grant =
        (struct etcd_ask){.path = "/v3/lease/grant", .make = make_grant, .take = take_grant};
    lease->alive =
        (struct etcd_ask){.path = "/v3/lease/keepalive", .make = make_alive, .take = take_alive};
    lease->look =
        (struct etcd_ask){.path = "/v3/lease/timetolive", .make = make_look, .take = take_look};
    lease->end = (struct etcd_ask){.path = "/v3/lease/revoke", .make = make_end, .take = take_end};
}

void etcd_lease_close(struct etcd_lease *lease)
{
    if (lease->link == NULL)
        return;
    drop_asks(lease);
    timer_cancel(lease->link->loop, &lease->tidy);
    free_dead(&lease->tidy);
}
