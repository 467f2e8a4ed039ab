/* Looking host names up in children. See lookup.h. */
#include "process/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "process/child.h"
#include "process/reap.h"

/* In the child: looks one name up and writes the result to `output`. */
static _Noreturn void look_up(const char *text, int output, struct lookup_result *result)
{
    size_t said = 0;
    ssize_t put;

    child_begin(&output, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    result->count = address_resolve(text, result->addresses, LOOKUP_ADDRESSES_MAX, &result->error);
    if (result->count > 0)
        result->error.text[0] = '\0';
    while (said < sizeof(*result) &&
           (put = write(output, (char *)result + said, sizeof(*result) - said)) > 0)
        said += (size_t)put;
    _exit(said < sizeof(*result));
}

static void start(struct lookup *lookup)
{
    struct error *error = &lookup->result.error;
    int ends[2];

    lookup->result.count = 0;
    lookup->got = 0;
    lookup->pid = 0;
    lookup->fd = -1;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        error_errno(error, "\"%s\": cannot create a pipe", lookup->text);
        return;
    }
    lookup->pid = fork();
    if (lookup->pid == 0)
        look_up(lookup->text, ends[1], &lookup->result);
    close(ends[1]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    lookup->fd = ends[0];
    if (lookup->pid > 0)
        return;
    lookup->pid = 0;
    error_errno(error, "\"%s\": cannot start a process that looks it up", lookup->text);
    close(ends[0]);
    lookup->fd = -1;
}

/* Reads a part of the child's result. False when it is complete or no more comes. */
static bool take(struct lookup *lookup)
{
    char *to = (char *)&lookup->result + lookup->got;

    ssize_t got = read(lookup->fd, to, sizeof(lookup->result) - lookup->got);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    lookup->got += (size_t)got;
    return got > 0 && lookup->got < sizeof(lookup->result);
}

static void finish(struct lookup *lookup, bool late, uint64_t limit_ms)
{
    struct lookup_result *result = &lookup->result;

    if (lookup->pid == 0)
        return;
    kill(lookup->pid, SIGKILL);
    reap_wait(lookup->pid);
    close(lookup->fd);
    lookup->pid = 0;
    if (lookup->got == sizeof(*result))
        return;
    result->count = 0;
    if (late)
        error_set(&result->error,
                  "\"%s\": the name could not be looked up within %llu ms (lookup_timeout)",
                  lookup->text, (unsigned long long)limit_ms);
    else
        error_set(&result->error, "\"%s\": the process that looks the name up has died",
                  lookup->text);
}

void lookup_all(struct lookup *lookups, size_t count, uint64_t limit_ms)
{
    uint64_t deadline = clock_ns() + limit_ms * NS_PER_MS, now;
    struct pollfd *polls = must_zalloc((count + 1) * sizeof(*polls));
    size_t open = 0;

    for (size_t i = 0; i < count; i++) {
        start(&lookups[i]);
        polls[i] = (struct pollfd){.fd = lookups[i].fd, .events = POLLIN};
        open += lookups[i].fd >= 0;
    }
    while (open > 0 && (now = clock_ns()) < deadline) {
        poll(polls, count, (int)((deadline - now) / NS_PER_MS) + 1);
        for (size_t i = 0; i < count; i++) {
            if (polls[i].fd < 0 || polls[i].revents == 0 || take(&lookups[i]))
                continue;
            finish(&lookups[i], false, limit_ms);
            polls[i].fd = -1;
            open--;
        }
    }
    for (size_t i = 0; i < count; i++)
        finish(&lookups[i], true, limit_ms);
    free(polls);
}
