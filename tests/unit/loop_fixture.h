/* A loop whose clock is the test's: the linker wraps clock_ns. Nothing waits, because a descriptor
 * is always ready. */
#ifndef PILLION_TESTS_LOOP_FIXTURE_H
#define PILLION_TESTS_LOOP_FIXTURE_H

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/loop.h"
#include "unit.h"

static struct loop loop;
static struct watch always;
static _Atomic uint64_t now_ns;
static bool turned;

uint64_t __wrap_clock_ns(void);
uint64_t __wrap_clock_ns(void)
{
    return now_ns;
}

static void nothing(struct watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
}

static void stop_after_one(struct loop *l, void *context)
{
    (void)context;
    if (turned)
        loop_stop(l);
    turned = true;
}

/* One iteration: the events that are there, and the timers that are due. */
static void turn(void)
{
    turned = false;
    loop_run(&loop);
}

static void pass(uint64_t ms)
{
    now_ns += ms * NS_PER_MS;
    turn();
}

static void loop_open(void)
{
    struct error error;
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

    now_ns = 7 * NS_PER_S;
    ck_assert_msg(loop_init(&loop, &error), "%s", error.text);
    always = (struct watch){0};
    ck_assert(loop_watch(&loop, &always, fd, EPOLLIN, nothing));
    loop.after_batch = stop_after_one;
}

static void loop_close(void)
{
    int fd = always.fd;

    loop_unwatch(&loop, &always);
    close(fd);
    loop_free(&loop);
}

#endif
