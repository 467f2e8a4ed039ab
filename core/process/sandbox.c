/* Locking a process down. See sandbox.h. */
#include "process/sandbox.h"

#include <linux/audit.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/needs.h"
#include "process/channel.h"
#include "process/sandbox_calls.h"
#include "process/sandbox_files.h"
#include "process/sandbox_filter.h"
#include "process/sandbox_plan.h"

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 /* asm-generic/siginfo.h */
#endif

/* ---- Calls that are refused ---- */

static struct {
    int channel;
    pid_t pid;
    struct sigaction before;
} refusals;

/* Tells the master, and goes on as for any fatal signal (rpc/culprit.h). */
static void refused(int number, siginfo_t *info, void *context)
{
    if (info->si_code == SYS_SECCOMP && getpid() == refusals.pid)
        channel_tell(refusals.channel, MESSAGE_SANDBOXED, (uint32_t)info->si_syscall,
                     info->si_arch);
    if ((refusals.before.sa_flags & SA_SIGINFO) != 0) {
        refusals.before.sa_sigaction(number, info, context);
        return;
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void watch_refusals(int channel)
{
    struct sigaction action = {.sa_sigaction = refused,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    refusals.channel = channel;
    refusals.pid = getpid();
    sigemptyset(&action.sa_mask);
    sigaction(SIGSYS, &action, &refusals.before);
}

void sandbox_describe(uint64_t number, uint64_t architecture, char *text, size_t size)
{
    const struct sandbox_row *row = NULL;
    bool native = architecture == AUDIT_ARCH_X86_64 || architecture == AUDIT_ARCH_AARCH64;
    char name[32];

    if (native && number <= sandbox_last_number())
        row = sandbox_row_of((uint32_t)number);
    if (row != NULL)
        snprintf(name, sizeof(name), "%s(2)", row->name);
    else
        snprintf(name, sizeof(name), "system call %u", (unsigned)number);
    uint32_t needs = 0;
    for (const struct sandbox_row *r = row; r != NULL && r->number == row->number; r++)
        needs |= r->needs;
    for (const struct need *n = need_table; n->name != NULL; n++) {
        if ((needs & n->bit) == 0)
            continue;
        snprintf(text, size,
                 "it called %s, which the sandbox refuses: its module has to declare %s, or "
                 "`load_module` to say needs=%s",
                 name, n->declared, n->name);
        return;
    }
    snprintf(text, size, "it called %s%s, which the sandbox refuses (sandbox)", name,
             native ? "" : " of another architecture");
}

/* ---- Entering ---- */

#define NETWORK (PILLION_NEEDS_NETWORK | SANDBOX_ANY)

static unsigned walls_for(const struct sandbox_plan *plan)
{
    bool any = (plan->needs & SANDBOX_ANY) != 0;
    bool network = (plan->needs & NETWORK) != 0;

    return WALL_SIGNALS | (any ? 0u : WALL_FILES) | (network ? 0u : WALL_BIND | WALL_ABSTRACT) |
           (network && plan->port_count == 0 ? 0u : WALL_CONNECT);
}

static bool enter_files(const struct sandbox_plan *plan, struct error *error)
{
    int rules = sandbox_files_begin(walls_for(plan), error);

    if (rules < 0)
        return false;
    for (size_t i = 0; i < plan->path_count; i++)
        sandbox_files_allow(rules, plan->paths[i].path, plan->paths[i].access);
    for (size_t i = 0; i < plan->port_count && (plan->needs & NETWORK) != 0; i++)
        sandbox_files_connect(rules, plan->ports[i]);
    return sandbox_files_enter(rules, error);
}

static void say(const struct sandbox_plan *plan, bool filtered)
{
    int abi = sandbox_files_abi();
    unsigned walls = walls_for(plan);
    struct text held = {0};

    text_append_string(&held, filtered ? "system calls" : "no system calls");
    if ((walls & WALL_FILES) != 0 && abi >= LANDLOCK_ABI_FILES)
        text_append_string(&held, ", files");
    if (abi >= LANDLOCK_ABI_FILES)
        text_append_string(&held, ", tracing");
    if ((walls & WALL_CONNECT) != 0 && abi >= LANDLOCK_ABI_TCP)
        text_append_string(&held, ", TCP");
    if (abi >= LANDLOCK_ABI_SIGNALS)
        text_append_string(&held, ", signals");
    log_info("workers are locked down: %s (%s%d); open to their modules: %s", text_string(&held),
             abi == 0 ? "there is no Landlock here for files: ABI " : "seccomp, Landlock ABI ", abi,
             plan->told.size == 0 ? "nothing" : text_string(&plan->told));
    text_free(&held);
}

bool sandbox_enter(const struct generation *generation, int channel, bool tells,
                   struct error *error)
{
    const struct settings *settings = generation->settings;
    struct sandbox_plan plan;

    if (settings->sandbox == SANDBOX_OFF)
        return true;
    sandbox_plan_make(generation, &plan);
    bool good = sandbox_files_abi() == 0 || enter_files(&plan, error);
    watch_refusals(channel);
    bool filtered = good && sandbox_filter_enter(plan.needs, error);
    if (filtered && (plan.needs & (PILLION_NEEDS_NETWORK | SANDBOX_ANY)) == 0)
        channel_tell(channel, MESSAGE_OFFLINE, 0, 0);
    if (good && !filtered && settings->sandbox == SANDBOX_AUTO && tells)
        log_warn("workers are not locked down: %s", error->text);
    good = filtered || (good && settings->sandbox == SANDBOX_AUTO);
    if (good && tells)
        say(&plan, filtered);
    sandbox_plan_free(&plan);
    return good || error_prefix(error, "cannot lock the process down (sandbox)");
}

/* `port`: 0 is none. */
static void enter_bare(unsigned walls, uint16_t port, uint32_t needs)
{
    struct error error;
    int rules = sandbox_files_abi() == 0 ? -1 : sandbox_files_begin(walls, &error);

    if (rules >= 0) { /* the log has the local time */
        sandbox_files_allow(rules, "/etc/localtime", ACCESS_READ);
        sandbox_files_allow(rules, "/usr/share/zoneinfo", ACCESS_READ);
        if (port != 0)
            sandbox_files_connect(rules, port);
        sandbox_files_enter(rules, &error);
    }
    sandbox_filter_enter(needs, &error);
}

void sandbox_enter_bare(void)
{
    enter_bare(WALL_FILES | WALL_CONNECT | WALL_BIND | WALL_ABSTRACT | WALL_SIGNALS, 0,
               SANDBOX_SYSLOG);
}

void sandbox_enter_gate(uint16_t port)
{
    enter_bare(WALL_FILES | WALL_CONNECT | WALL_ABSTRACT | WALL_SIGNALS, port,
               PILLION_NEEDS_NETWORK);
}

#define PORT_DNS 53

void sandbox_enter_network(const uint16_t *ports, size_t count)
{
    struct sandbox_plan plan;
    struct error error;
    int rules =
        sandbox_files_abi() == 0
            ? -1
            : sandbox_files_begin(
                  WALL_FILES | WALL_CONNECT | WALL_BIND | WALL_ABSTRACT | WALL_SIGNALS, &error);

    sandbox_plan_network(&plan);
    if (rules >= 0) {
        for (size_t i = 0; i < plan.path_count; i++)
            sandbox_files_allow(rules, plan.paths[i].path, plan.paths[i].access);
        for (size_t i = 0; i < count; i++)
            sandbox_files_connect(rules, ports[i]);
        sandbox_files_connect(rules, PORT_DNS);
        sandbox_files_enter(rules, &error);
    }
    sandbox_filter_enter(plan.needs, &error);
    sandbox_plan_free(&plan);
}
