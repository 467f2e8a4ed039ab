/* Noting modules' threads, and how the process ends. See threads.h. */
#include "module/threads.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rpc/culprit.h"
#include "rpc/note.h"

typedef int (*creator)(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                       void *argument);

/* A new thread's function, and what to note for it. */
struct beginning {
    void *(*run)(void *argument);
    void *argument;
    const pillion_instance *instance;
    struct origin origin;
};

static void *thread_main(void *argument)
{
    struct beginning *given = argument, beginning = *given;
    void *result;

    free(given);
    note_enter(DUTY_THREAD, beginning.instance, &beginning.origin);
    void *stack = culprit_thread_begin();
    pthread_cleanup_push(culprit_thread_end, stack);
    result = beginning.run(beginning.argument);
    pthread_cleanup_pop(1);
    return result;
}

PILLION_EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                                  void *(*run)(void *), void *argument)
{
    static _Atomic(creator) next;
    creator create = next;

    if (create == NULL)
        next = create = (creator)dlsym(RTLD_NEXT, "pthread_create");
    if (!culprit_has_begun())
        return create(thread, attributes, run, argument);
    struct beginning *beginning = malloc(sizeof(*beginning));
    if (beginning == NULL)
        return EAGAIN;
    *beginning = (struct beginning){
        .run = run, .argument = argument, .instance = note_instance(), .origin = note_origin()};
    int error = create(thread, attributes, thread_main, beginning);
    if (error != 0)
        free(beginning);
    return error;
}

PILLION_EXPORT _Noreturn void _exit(int status)
{
    culprit_tell();
    for (;;)
        syscall(SYS_exit_group, status);
}

PILLION_EXPORT void _Exit(int status)
{
    _exit(status);
}
