/* Datagrams for the service manager. See notify.h. */
#include "master/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "master/master.h"

#define STATUS_MAX 1024

static struct {
    struct sockaddr_un address;
    socklen_t size; /* 0: nobody listens */
    bool failed;    /* which was logged */
    uint64_t pace_ns;
    struct timer beat;
} manager;

/* A service manager that does not read must not hold the master up, nor end it. */
static void tell(const char *news)
{
    if (manager.size == 0)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool told = fd >= 0 &&
                connect(fd, (const struct sockaddr *)&manager.address, manager.size) == 0 &&
                send(fd, news, strlen(news), MSG_NOSIGNAL) >= 0;
    if (!told && !manager.failed)
        log_warn("the service manager cannot be told news (NOTIFY_SOCKET): %s", strerror(errno));
    manager.failed = !told;
    if (fd >= 0)
        close(fd);
}

static void beat(struct timer *timer)
{
    tell("WATCHDOG=1");
    timer_set(&master.loop, timer, manager.pace_ns, beat);
}

/* A name that begins with @ is in the abstract namespace (unix(7)). */
static void find_manager(void)
{
    const char *name = getenv("NOTIFY_SOCKET");
    size_t size = name == NULL ? 0 : strlen(name);

    manager.size = 0;
    if (size == 0)
        return;
    if ((name[0] != '/' && name[0] != '@') || size >= sizeof(manager.address.sun_path)) {
        log_warn("NOTIFY_SOCKET is \"%s\", which is no path and no @name of a socket: the service "
                 "manager is told nothing",
                 name);
        return;
    }
    manager.address.sun_family = AF_UNIX;
    memcpy(manager.address.sun_path, name, size + 1);
    if (name[0] == '@')
        manager.address.sun_path[0] = '\0';
    manager.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (name[0] == '/'));
}

void notify_begin(void)
{
    const char *pid = getenv("WATCHDOG_PID"), *pace = getenv("WATCHDOG_USEC");
    unsigned long pace_us = pace == NULL ? 0 : strtoul(pace, NULL, 10);

    find_manager();
    /* sd_watchdog_enabled(3): the variables may be meant for another process. */
    if (manager.size == 0 || pace_us == 0 || (pid != NULL && strtol(pid, NULL, 10) != master.pid))
        return;
    manager.pace_ns = pace_us * NS_PER_US / 2;
    beat(&manager.beat);
}

void notify_serving(const char *status)
{
    char news[STATUS_MAX + 64];

    snprintf(news, sizeof(news), "READY=1\nMAINPID=%d\nSTATUS=%.*s", (int)master.pid,
             (int)strcspn(status, "\n"), status);
    tell(news);
}

void notify_reloading(void)
{
    char news[128];

    snprintf(news, sizeof(news), "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading",
             (unsigned long long)(clock_ns() / NS_PER_US));
    tell(news);
}

void notify_stopping(uint64_t patience_ms)
{
    char news[128];

    snprintf(news, sizeof(news), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu\nSTATUS=ending",
             (unsigned long long)patience_ms * 1000);
    tell(news);
}
