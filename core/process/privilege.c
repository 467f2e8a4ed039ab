/* Users, limits and processors. See privilege.h. */
#include "process/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

bool identity_resolve(const struct settings *settings, struct identity *identity,
                      struct error *error)
{
    const char *name = settings->user == NULL ? "nobody" : settings->user;

    *identity = (struct identity){.change = geteuid() == 0};
    if (!identity->change)
        return true;
    errno = 0; /* getpwnam(3) leaves it 0 when there is no such user */
    const struct passwd *user = getpwnam(name);
    if (user == NULL && errno != 0 && errno != ENOENT && errno != ESRCH)
        return error_errno(error, "cannot look up the user \"%s\"", name);
    if (user == NULL)
        return error_set(error,
                         "there is no user \"%s\" on this system; name another one with "
                         "`user NAME;`",
                         name);
    identity->user = user->pw_uid;
    identity->group = user->pw_gid;
    snprintf(identity->name, sizeof(identity->name), "%s", name);
    if (settings->group != NULL) {
        errno = 0;
        const struct group *group = getgrnam(settings->group);
        if (group == NULL && errno != 0 && errno != ENOENT && errno != ESRCH)
            return error_errno(error, "cannot look up the group \"%s\"", settings->group);
        if (group == NULL)
            return error_set(error, "there is no group \"%s\" on this system", settings->group);
        identity->group = group->gr_gid;
    }
    return true;
}

bool privilege_drop(const struct identity *identity, pid_t parent, struct error *error)
{
    if (identity->change) {
        if (initgroups(identity->name, identity->group) < 0 || setgid(identity->group) < 0 ||
            setuid(identity->user) < 0)
            return error_errno(error, "cannot become the user \"%s\"", identity->name);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(error, "cannot set no_new_privs");
    /* Last, because changing the user clears both of these. */
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        return error_set(error, "the master is gone");
    return true;
}

void privilege_protect(void)
{
    const struct rlimit none = {0, 0};

    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
}

uint64_t limit_open_files(uint64_t wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024;
    struct rlimit now = limit;
    limit.rlim_cur = wanted == 0 ? limit.rlim_max : wanted;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_max = limit.rlim_cur;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return limit.rlim_cur;
    /* Not allowed to raise the hard limit: raise the soft one up to it. */
    now.rlim_cur = now.rlim_max;
    setrlimit(RLIMIT_NOFILE, &now);
    return now.rlim_cur;
}

uint64_t open_files_possible(uint64_t wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024;
    struct rlimit raised = {limit.rlim_cur, wanted};
    if (wanted == 0)
        return limit.rlim_max;
    if (wanted <= limit.rlim_max)
        return wanted;
    if (setrlimit(RLIMIT_NOFILE, &raised) < 0)
        return limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return wanted;
}

/* The n-th processor that this process may use, counted around. */
static size_t nth_processor(uint32_t n)
{
    cpu_set_t usable;

    if (sched_getaffinity(0, sizeof(usable), &usable) < 0 || CPU_COUNT(&usable) == 0)
        return 0;
    n %= (uint32_t)CPU_COUNT(&usable);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &usable) && n-- == 0)
            return cpu;
    }
    return 0;
}

bool affinity_apply(const struct conf_list *masks, uint32_t slot, struct error *error)
{
    cpu_set_t set;

    if (masks->count == 0)
        return true;
    CPU_ZERO(&set);
    if (strcmp(masks->items[0], "auto") == 0) {
        CPU_SET(nth_processor(slot), &set);
    } else {
        /* The last mask is used for all further slots, as in nginx; a mask's rightmost digit is
         * processor 0. */
        const char *mask = masks->items[slot < masks->count ? slot : masks->count - 1];
        size_t digits = strlen(mask);
        for (size_t i = 0; i < digits; i++) {
            if (mask[i] == '1')
                CPU_SET(digits - 1 - i, &set);
        }
    }
    if (sched_setaffinity(0, sizeof(set), &set) < 0)
        return error_errno(error, "cannot pin a worker to its processors (worker_cpu_affinity)");
    return true;
}
