/* The registry's absence. See contact.h. */
#include "registry/contact.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"

/* When the log says how long it has been away: after so many seconds, and then as often as the last
 * one of them. */
static const uint64_t moments[] = {10, 60, 300};

#define MOMENTS (sizeof(moments) / sizeof(*moments))

static struct {
    struct loop *loop;
    void (*told)(bool there, const char *why);
    const char *(*last)(void);
    struct timer first, next;
    uint64_t lost_ns; /* 0: it is there */
    size_t said;      /* how many of the moments are over */
    char why[512];
} contact;

/* The trouble may be another one by now. */
static const char *reason(void)
{
    const char *last = contact.last();

    if (last[0] != '\0')
        snprintf(contact.why, sizeof(contact.why), "%s", last);
    return contact.why;
}

static void say_age(struct timer *timer)
{
    uint64_t away_s = (clock_ns() - contact.lost_ns) / NS_PER_S;
    size_t next = contact.said + 1 < MOMENTS ? contact.said + 1 : MOMENTS - 1;
    uint64_t pause =
        contact.said + 1 < MOMENTS ? moments[next] - moments[contact.said] : moments[next];

    log_warn("the registry has been away for %llu s (%s): the servers that were known last are "
             "used",
             (unsigned long long)away_s, reason());
    contact.said = next;
    timer_set(contact.loop, timer, pause * NS_PER_S, say_age);
}

static void never_there(struct timer *timer)
{
    (void)timer;
    contact.told(false, reason());
}

static void lost(const char *why)
{
    contact.lost_ns = clock_ns();
    contact.said = 0;
    snprintf(contact.why, sizeof(contact.why), "%s", why);
    timer_set(contact.loop, &contact.next, moments[0] * NS_PER_S, say_age);
}

void contact_begin(struct loop *loop, uint64_t lost_ns, uint64_t patience_ms,
                   void (*told)(bool there, const char *why), const char *(*last)(void))
{
    contact.last = last;
    contact.loop = loop;
    contact.told = told;
    lost("no member has answered yet");
    if (lost_ns != 0 && lost_ns < contact.lost_ns)
        contact.lost_ns = lost_ns;
    timer_set(loop, &contact.first, patience_ms * NS_PER_MS, never_there);
}

void contact_changed(bool there, const char *why)
{
    if (there) {
        contact.lost_ns = 0;
        timer_cancel(contact.loop, &contact.next);
        timer_cancel(contact.loop, &contact.first);
    } else if (contact.lost_ns == 0) {
        lost(why);
    } else { /* it has never been there */
        snprintf(contact.why, sizeof(contact.why), "%s", why);
        if (timer_is_set(&contact.first))
            return;
    }
    contact.told(there, why);
}

bool contact_is_there(void)
{
    return contact.lost_ns == 0;
}

uint64_t contact_lost_ns(void)
{
    return contact.lost_ns;
}
