/* This worker's limit on open files. See files.h. */
#include "worker/files.h"

#include <sys/resource.h>

#include "base/log_seldom.h"

static struct {
    uint64_t most;
    void (*useless)(void);
} files;

void files_watch(uint64_t most, void (*useless)(void))
{
    files.most = most;
    files.useless = useless;
}

bool files_restored(void)
{
    struct rlimit now;

    if (getrlimit(RLIMIT_NOFILE, &now) < 0 || now.rlim_cur >= files.most)
        return false;
    rlim_t lowered = now.rlim_cur;
    now.rlim_cur = files.most < now.rlim_max ? files.most : now.rlim_max;
    bool restored = now.rlim_cur > lowered && setrlimit(RLIMIT_NOFILE, &now) == 0;
    log_seldom(LOG_ERROR_LEVEL, NULL,
               "a module has lowered the limit on open files (RLIMIT_NOFILE) from %llu to %llu: %s",
               (unsigned long long)files.most, (unsigned long long)lowered,
               now.rlim_max >= files.most ? "it is set again"
                                          : "for good, so another worker takes this one's place");
    if (now.rlim_max < files.most)
        files.useless();
    return restored;
}
