/* A library to preload: records which calls of libc the server makes and from where, and makes one
 * of them fail, as the plan says (plan.h). Which calls there are, and how they fail, is the table
 * of calls.h. See test_calls.c.
 *
 * Each function is defined with eight words as arguments and hands them all on: where the first six
 * or eight are passed in registers (x86-64, AArch64), that is any function of integers and
 * pointers, those with variable arguments included. */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <link.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "plan.h"

typedef long word;
typedef word function(word, word, word, word, word, word, word, word);

#define ROW_NUMBER(name, way, error) CALL_##name,
enum call { CALLS(ROW_NUMBER) CALL_COUNT };

#define ROW_NAME(name, way, error) #name,
static const char *const names[] = {CALLS(ROW_NAME)};

static function *real[CALL_COUNT];
static struct plan *plan;
static uintptr_t text_start, text_end, base;

/* ---- Who calls ---- */

static bool child; /* of a process of the server's */

/* A child has the master's name until it has taken its own (process/title.h); so has a process that
 * looks names up, or that rehearses an upgrade. */
static enum role role_now(void)
{
    static const char *const roles[] = {
        [ROLE_PROBE] = "probe", [ROLE_WORKER] = "worker", [ROLE_VAULT] = "vault"};
    char name[16] = "";

    if (!child)
        return ROLE_MASTER;
    syscall(SYS_prctl, PR_GET_NAME, name, 0, 0, 0);
    for (enum role role = ROLE_PROBE; role < ROLES; role++) {
        if (strncmp(name, roles[role], strlen(roles[role])) == 0)
            return role;
    }
    return ROLE_CHILD;
}

static void record(uint32_t key, enum call call)
{
    for (uint32_t i = key * 2654435761u % PLAN_SITES;; i = (i + 1) % PLAN_SITES) {
        struct plan_site *site = &plan->sites[i];
        unsigned was = 0;
        if (atomic_compare_exchange_strong(&site->key, &was, key))
            site->call = (uint16_t)call;
        if (was != 0 && was != key)
            continue;
        atomic_fetch_add(&site->times, 1);
        return;
    }
}

static bool fails(enum call call, const void *caller)
{
    uintptr_t at = (uintptr_t)caller;

    if (plan == NULL || at < text_start || at >= text_end ||
        (!atomic_load(&plan->recording) && !atomic_load(&plan->armed)))
        return false;
    uint32_t key = plan_key(role_now(), (uint32_t)(at - base));
    if (atomic_load(&plan->recording))
        record(key, call);
    bool armed = true;
    if (!atomic_load(&plan->armed) || atomic_load(&plan->key) != key ||
        atomic_fetch_sub(&plan->before, 1) > 0 ||
        !atomic_compare_exchange_strong(&plan->armed, &armed, false))
        return false;
    atomic_fetch_add(&plan->fired, 1);
    return true;
}

/* ---- Calls ---- */

/* Only what adds to an epoll descriptor needs memory (epoll_ctl(2)). */
static bool cannot_fail(enum call call, word second)
{
    return call == CALL_epoll_ctl && second != EPOLL_CTL_ADD;
}

/* As its caller sees it, libc's `name`. */
#define DEFINE(name, way, error)                                                      \
    word fault_##name(word a, word b, word c, word d, word e, word f, word g,         \
                      word h) __asm__(#name);                                         \
    word fault_##name(word a, word b, word c, word d, word e, word f, word g, word h) \
    {                                                                                 \
        const void *caller = __builtin_return_address(0);                             \
        if (real[CALL_##name] == NULL)                                                \
            real[CALL_##name] = (function *)dlsym(RTLD_NEXT, #name);                  \
        if (cannot_fail(CALL_##name, b) || !fails(CALL_##name, caller))               \
            return real[CALL_##name](a, b, c, d, e, f, g, h);                         \
        if ((way) == AFTER)                                                           \
            real[CALL_##name](a, b, c, d, e, f, g, h);                                \
        if ((way) == NUMBER)                                                          \
            return (error);                                                           \
        errno = (error);                                                              \
        return (way) == ZERO ? 0 : -1;                                                \
    }
CALLS(DEFINE)

/* ---- Allocations ---- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

static int born; /* the round in which this process was forked */

static void forked(void)
{
    child = true;
    born = plan == NULL ? 0 : atomic_load(&plan->round);
}

static bool allocation_fails(void)
{
    if (plan == NULL || atomic_load(&plan->allocating) < 0 || born != atomic_load(&plan->round) ||
        (int)role_now() != atomic_load(&plan->allocating))
        return false;
    int owner = 0, self = (int)syscall(SYS_getpid);
    if (!atomic_compare_exchange_strong(&plan->owner, &owner, self) && owner != self)
        return false;
    if (atomic_fetch_add(&plan->allocations, 1) + 1 != atomic_load(&plan->failing))
        return false;
    atomic_fetch_add(&plan->fired, 1);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return allocation_fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return allocation_fails() ? NULL : __libc_realloc(memory, size);
}

/* ---- Start ---- */

/* The first object is the program itself (dl_iterate_phdr(3)). */
static int find_text(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    base = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            text_start = base + part->p_vaddr;
            text_end = text_start + part->p_memsz;
        }
    }
    return 1;
}

/* True when the parent runs a file whose name is the server's: then this process rehearses an
 * upgrade. The master's parent is a test. */
static bool has_server_as_parent(void)
{
    static const char server[] = "/pillion";
    char link[32], file[PATH_MAX];

    snprintf(link, sizeof(link), "/proc/%d/exe", (int)syscall(SYS_getppid));
    long size = syscall(SYS_readlinkat, AT_FDCWD, link, file, sizeof(file) - 1);
    file[size < 0 ? 0 : size] = '\0';
    const char *name = strrchr(file, '/');
    return name != NULL && strncmp(name, server, sizeof(server) - 1) == 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv(PLAN_VARIABLE);

    if (path == NULL)
        return;
    for (int i = 0; i < CALL_COUNT; i++)
        real[i] = (function *)dlsym(RTLD_NEXT, names[i]);
    dl_iterate_phdr(find_text, NULL);
    child = has_server_as_parent();
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    void *memory =
        (void *)syscall(SYS_mmap, NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (memory != MAP_FAILED)
        plan = memory;
    pthread_atfork(NULL, NULL, forked);
}
