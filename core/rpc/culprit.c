/* Telling which thread a worker dies of. See culprit.h. */
#include "rpc/culprit.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "rpc/forked.h"
#include "rpc/note.h"

#define STACK_FREE 32768u /* beside the frame that the kernel puts there */

static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

#define FATAL (sizeof(fatal) / sizeof(*fatal))

static struct board_row *own_row;
static pid_t own_pid; /* children that modules fork have all of this as well */
static _Thread_local bool on_loop;

bool culprit_has_begun(void)
{
    return own_row != NULL;
}

/* True when the caller is the first. */
static bool begin_telling(void)
{
    uint32_t unknown = CULPRIT_UNKNOWN;

    return own_row != NULL && getpid() == own_pid &&
           atomic_compare_exchange_strong(&own_row->culprit_told, &unknown, CULPRIT_BEING_TOLD);
}

static void tell(const struct note *note, uint32_t method, enum board_duty duty)
{
    struct board_note *to = &own_row->culprit;

    atomic_store(&to->module, note->instance == NULL ? 0 : note->instance->number);
    atomic_store(&to->method, method);
    atomic_store(&to->connection, note->origin.connection);
    atomic_store(&to->place, note->origin.place);
    atomic_store(&to->duty, (uint32_t)duty);
    atomic_store(&own_row->culprit_told, CULPRIT_TOLD);
}

void culprit_tell(void)
{
    const struct note *note = note_current();
    uint32_t running = 0;

    if (!begin_telling())
        return;
    if (on_loop)
        running = atomic_load_explicit(&own_row->running, memory_order_relaxed);
    if (running > 0 && running <= BOARD_METHODS_MAX)
        tell(note, running, DUTY_HANDLER);
    else if (on_loop || note->duty != DUTY_NONE)
        tell(note, note->origin.method, note->duty);
    else
        tell(note, 0, DUTY_THREAD);
}

/* Lets the signal take its default action. A faulting instruction is tried again when the handler
 * returns, so that a core dump shows the place; every other signal is raised again. */
static void die(int number, siginfo_t *info, void *context)
{
    static const struct note nobody;
    const struct sigaction otherwise = {.sa_handler = SIG_DFL};
    bool sent = info->si_code <= 0;

    (void)context;
    if (!sent)
        forked_fault(info->si_addr);
    if (sent && info->si_pid != getpid()) {
        if (begin_telling())
            tell(&nobody, 0, DUTY_NONE);
    } else {
        culprit_tell();
    }
    sigaction(number, &otherwise, NULL);
    if (sent || number == SIGTRAP || number == SIGSYS)
        raise(number);
}

void *culprit_thread_begin(void)
{
    long least = sysconf(_SC_MINSIGSTKSZ);
    size_t size = (least < 0 ? (size_t)MINSIGSTKSZ : (size_t)least) + STACK_FREE;
    stack_t stack = {.ss_size = size}, before;
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < FATAL; i++)
        sigaddset(&set, fatal[i]);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    /* Sanitizers give every thread such a stack of their own. */
    if (sigaltstack(NULL, &before) != 0 || !(before.ss_flags & SS_DISABLE))
        return NULL;
    stack.ss_sp = malloc(size);
    if (stack.ss_sp != NULL)
        sigaltstack(&stack, NULL);
    return stack.ss_sp;
}

void culprit_thread_end(void *memory)
{
    const stack_t none = {.ss_flags = SS_DISABLE};

    if (memory == NULL)
        return;
    sigaltstack(&none, NULL);
    free(memory);
}

void culprit_begin(struct board_row *row)
{
    struct sigaction action = {.sa_sigaction = die,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    own_row = row;
    own_pid = getpid();
    on_loop = true;
    sigemptyset(&action.sa_mask);
    culprit_thread_begin(); /* for the process's life */
    for (size_t i = 0; i < FATAL; i++)
        sigaction(fatal[i], &action, NULL);
    atexit(culprit_tell);
    at_quick_exit(culprit_tell);
}
