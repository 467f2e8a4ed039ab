/* See etcd_watches.h. */
#include "registry/etcd_watches.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "registry/etcd_text.h"

/* ---- What has been read of a prefix ---- */

static void forget_rows(struct etcd_watched *watched)
{
    for (size_t i = 0; i < watched->row_count; i++)
        free((void *)(uintptr_t)watched->rows[i].key.data);
    free(watched->rows);
    watched->rows = NULL;
    watched->row_count = watched->row_room = watched->row_bytes = 0;
    watched->page_revision = 0;
    text_free(&watched->from);
}

/* Key and value are one block. */
static void keep_row(struct etcd_watched *watched, const struct etcd_change *change)
{
    char *copy = must_alloc(change->key.size + change->value.size + 1);

    if (watched->row_count == watched->row_room) {
        watched->row_room = watched->row_room == 0 ? 64 : watched->row_room * 2;
        watched->rows = must_realloc(watched->rows, watched->row_room * sizeof(*watched->rows));
    }
    memcpy(copy, change->key.data, change->key.size);
    memcpy(copy + change->key.size, change->value.data, change->value.size);
    watched->rows[watched->row_count++] =
        (struct etcd_row){{copy, change->key.size}, {copy + change->key.size, change->value.size}};
    watched->row_bytes += change->key.size + change->value.size;
}

static void set_mark(struct etcd_watched *watched, const struct etcd_change *change)
{
    text_clear(&watched->mark);
    if (change != NULL)
        text_append(&watched->mark, change->key);
    watched->mark_created = change == NULL ? 0 : change->created;
}

static void read_again(struct etcd_watched *watched)
{
    etcd_link_drop(&watched->stream);
    etcd_link_drop(&watched->look);
    etcd_link_drop(&watched->page);
    watched->goes_on = false;
    set_mark(watched, NULL);
    forget_rows(watched);
    watched->revision = 0;
    etcd_link_ask(watched->all->link, &watched->page);
}

static char *make_page(struct etcd_ask *ask)
{
    const struct etcd_watched *watched = container_of(ask, struct etcd_watched, page);

    return etcd_text_range(watched->prefix, (struct bytes){watched->from.data, watched->from.size},
                           watched->page_revision, watched->page_rows);
}

static void tell_settled(const struct etcd_watched *watched)
{
    const struct etcd_watches *all = watched->all;

    if (!watched->dead && all->events.settled != NULL)
        all->events.settled(all->context, watched->prefix);
}

/* All pages are there. */
static void tell_snapshot(struct etcd_watched *watched)
{
    struct etcd_watches *all = watched->all;

    watched->revision = watched->page_revision;
    watched->page_rows = WATCH_PAGE_ROWS;
    watched->refused = 0;
    all->snapshots++;
    if (all->events.snapshot != NULL)
        all->events.snapshot(all->context, watched->prefix, watched->rows, watched->row_count);
    forget_rows(watched);
    tell_settled(watched);
    if (!watched->dead)
        etcd_link_ask(all->link, &watched->stream);
}

/* A page with fewer rows is asked for; one of a single row cannot be. */
static void page_too_large(struct etcd_watched *watched)
{
    char text[300];

    if (watched->page_rows > 1) {
        watched->page_rows /= 4;
        watched->page_rows += watched->page_rows == 0;
        etcd_link_ask(watched->all->link, &watched->page);
        return;
    }
    snprintf(text, sizeof(text), "%.200s: it has a value that is larger than any answer may be",
             watched->prefix);
    etcd_link_ask(watched->all->link, &watched->page);
    etcd_link_again(watched->all->link, &watched->page, ++watched->refused, text);
}

/* The next page begins right behind its last key: with that key and a byte of 0. */
static void ask_next_page(struct etcd_watched *watched)
{
    text_clear(&watched->from);
    text_append(&watched->from, watched->rows[watched->row_count - 1].key);
    text_append_char(&watched->from, '\0');
    etcd_link_ask(watched->all->link, &watched->page);
}

static void take_page(struct etcd_ask *ask, const struct etcd_answer *answer)
{
    struct etcd_watched *watched = container_of(ask, struct etcd_watched, page);
    struct etcd_watches *all = watched->all;
    char text[300];

    if (answer->verdict == ETCD_TOO_LARGE) {
        page_too_large(watched);
        return;
    }
    if (answer->verdict != ETCD_FINE) { /* compacted between two pages */
        read_again(watched);
        return;
    }
    if (watched->page_revision == 0)
        watched->page_revision = answer->revision;
    for (size_t i = 0; i < answer->change_count; i++)
        keep_row(watched, &answer->changes[i]);
    if (answer->change_count > 0)
        set_mark(watched, &answer->changes[0]);
    if (watched->row_bytes > all->bytes_max) {
        snprintf(text, sizeof(text), "%.200s: it has more than %zu bytes", watched->prefix,
                 all->bytes_max);
        read_again(watched);
        etcd_link_again(all->link, ask, ++watched->refused, text);
    } else if (answer->more && answer->change_count > 0) {
        ask_next_page(watched);
    } else {
        tell_snapshot(watched);
    }
}

/* ---- What changes ---- */

/* Whether this is the etcd in which the mark was seen. Where none is known, nothing is expected to
 * be there, or what is there is read again. */
static char *make_look(struct etcd_ask *ask)
{
    const struct etcd_watched *watched = container_of(ask, struct etcd_watched, look);

    if (watched->looked.size == 0)
        return etcd_text_range(watched->prefix, (struct bytes){0}, 0, 1);
    return etcd_text_one((struct bytes){watched->looked.data, watched->looked.size});
}

static void take_look(struct etcd_ask *ask, const struct etcd_answer *answer)
{
    struct etcd_watched *watched = container_of(ask, struct etcd_watched, look);
    size_t expected = watched->looked.size == 0 ? 0 : 1;

    if (answer->verdict != ETCD_FINE || answer->change_count != expected ||
        (expected == 1 && answer->changes[0].created != watched->looked_created))
        read_again(watched);
}

/* The watch has begun, and the mark is that of before: what the watch tells from now on may be of
 * another etcd. A look that was asked for with the watch might be answered by the former etcd,
 * while the watch is the next one's. What the watch has told since a look that has no answer yet
 * may be of another etcd, too: that look's mark is looked for anew, because the answer that is
 * under way may be of the former etcd. */
static void begin_look(struct etcd_watched *watched)
{
    if (etcd_link_asked(&watched->look)) {
        etcd_link_drop(&watched->look);
    } else {
        text_clear(&watched->looked);
        text_append(&watched->looked, (struct bytes){watched->mark.data, watched->mark.size});
        watched->looked_created = watched->mark_created;
    }
    etcd_link_ask(watched->all->link, &watched->look);
}

static char *make_stream(struct etcd_ask *ask)
{
    struct etcd_watched *watched = container_of(ask, struct etcd_watched, stream);

    /* Another etcd may be in the place of the one that the pages came from, too. */
    watched->is_to_look = watched->goes_on || watched->mark.size > 0;
    watched->goes_on = true;
    return etcd_text_watch(watched->prefix, watched->revision + 1);
}

static void tell_change(struct etcd_watched *watched, const struct etcd_change *change)
{
    struct etcd_watches *all = watched->all;

    all->changes++;
    if (!change->gone)
        set_mark(watched, change);
    else if (bytes_equal(change->key, (struct bytes){watched->mark.data, watched->mark.size}))
        set_mark(watched, NULL);
    if (change->gone && all->events.gone != NULL)
        all->events.gone(all->context, watched->prefix, change->key);
    if (!change->gone && all->events.put != NULL)
        all->events.put(all->context, watched->prefix, change->key, change->value);
}

/* An event's revision is seen when all of its events are, which in a fragment they may not be. A
 * line without events tells of progress: everything up to its revision was there. */
static void take_changes(struct etcd_watched *watched, const struct etcd_answer *answer)
{
    if (answer->created && watched->is_to_look)
        begin_look(watched);
    for (size_t i = 0; i < answer->change_count && !watched->dead; i++)
        tell_change(watched, &answer->changes[i]);
    if (watched->dead || answer->fragment)
        return;
    int64_t seen = answer->change_count > 0 ? answer->changes[answer->change_count - 1].revision
                   : answer->created        ? 0
                                            : answer->revision;
    if (seen > watched->revision)
        watched->revision = seen;
    if (answer->change_count > 0)
        tell_settled(watched);
}

static void take_line(struct etcd_ask *ask, const struct etcd_answer *answer)
{
    struct etcd_watched *watched = container_of(ask, struct etcd_watched, stream);
    char text[300];

    if (answer->verdict != ETCD_FINE || answer->compacted > 0) {
        read_again(watched);
    } else if (answer->canceled) {
        snprintf(text, sizeof(text), "%.100s cannot be watched: %.160s", watched->prefix,
                 answer->text[0] == '\0' ? "etcd gives no reason" : answer->text);
        etcd_link_again(watched->all->link, ask, 0, text);
    } else {
        take_changes(watched, answer);
    }
}

/* ---- Whether the member still hears of changes ---- */

/* A member that hangs answers nothing, and its watches are silent: so it is asked for something now
 * and then. The answer comes of the majority (rpc.proto, RangeRequest.serializable), so its
 * revision is no lower than any that was seen, unless somebody has put another etcd in the place of
 * the former. */
static void take_probe(struct etcd_ask *ask, const struct etcd_answer *answer)
{
    struct etcd_watches *watches = container_of(ask, struct etcd_watches, probe);

    for (struct etcd_watched *watched = watches->first; watched != NULL; watched = watched->next) {
        if (answer->verdict == ETCD_FINE && !watched->dead && watched->revision > answer->revision)
            read_again(watched);
    }
}

static char *make_probe(struct etcd_ask *ask)
{
    const struct etcd_watches *watches = container_of(ask, struct etcd_watches, probe);

    return etcd_text_count(watches->first == NULL ? "" : watches->first->prefix);
}

static void probe_due(struct timer *timer)
{
    struct etcd_watches *watches = container_of(timer, struct etcd_watches, timer);

    if (watches->first == NULL)
        return;
    etcd_link_ask(watches->link, &watches->probe);
    timer_set(watches->link->loop, timer, watches->probe_ns, probe_due);
}

/* ---- Their life ---- */

static void free_dead(struct timer *timer)
{
    struct etcd_watches *watches = container_of(timer, struct etcd_watches, tidy);
    struct etcd_watched **place = &watches->first;

    while (*place != NULL) {
        struct etcd_watched *watched = *place;
        if (!watched->dead) {
            place = &watched->next;
            continue;
        }
        *place = watched->next;
        forget_rows(watched);
        text_free(&watched->mark);
        text_free(&watched->looked);
        free(watched->prefix);
        free(watched);
    }
}

static struct etcd_watched *find(const struct etcd_watches *watches, const char *prefix)
{
    for (struct etcd_watched *watched = watches->first; watched != NULL; watched = watched->next) {
        if (!watched->dead && strcmp(watched->prefix, prefix) == 0)
            return watched;
    }
    return NULL;
}

static void bury(struct etcd_watched *watched)
{
    etcd_link_drop(&watched->page);
    etcd_link_drop(&watched->stream);
    etcd_link_drop(&watched->look);
    watched->dead = true;
    timer_set(watched->all->link->loop, &watched->all->tidy, 0, free_dead);
}

void etcd_watches_add(struct etcd_watches *watches, const char *prefix)
{
    if (find(watches, prefix) != NULL)
        return;
    struct etcd_watched *watched = must_zalloc(sizeof(*watched));
    watched->all = watches;
    watched->prefix = must_strdup(prefix);
    watched->page_rows = WATCH_PAGE_ROWS;
    watched->page = (struct etcd_ask){
        .path = "/v3/kv/range", .is_large = true, .make = make_page, .take = take_page};
    watched->stream = (struct etcd_ask){
        .path = "/v3/watch", .goes_on = true, .make = make_stream, .take = take_line};
    watched->look = (struct etcd_ask){.path = "/v3/kv/range", .make = make_look, .take = take_look};
    watched->page.about = watched->stream.about = watched->look.about = watched->prefix;
    watched->next = watches->first;
    watches->first = watched;
    etcd_link_ask(watches->link, &watched->page);
    if (!timer_is_set(&watches->timer))
        timer_set(watches->link->loop, &watches->timer, watches->probe_ns, probe_due);
}

void etcd_watches_remove(struct etcd_watches *watches, const char *prefix)
{
    struct etcd_watched *watched = find(watches, prefix);

    if (watched != NULL)
        bury(watched);
}

void etcd_watches_again(struct etcd_watches *watches)
{
    for (struct etcd_watched *watched = watches->first; watched != NULL; watched = watched->next) {
        if (!watched->dead)
            read_again(watched);
    }
}

void etcd_watches_open(struct etcd_watches *watches)
{
    watches->probe =
        (struct etcd_ask){.path = "/v3/kv/range", .make = make_probe, .take = take_probe};
}

void etcd_watches_close(struct etcd_watches *watches)
{
    if (watches->link == NULL)
        return;
    etcd_link_drop(&watches->probe);
    timer_cancel(watches->link->loop, &watches->timer);
    for (struct etcd_watched *watched = watches->first; watched != NULL; watched = watched->next)
        bury(watched);
    timer_cancel(watches->link->loop, &watches->tidy);
    free_dead(&watches->tidy);
}
