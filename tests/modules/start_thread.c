/* A thread that start makes ends the process a little later. */
#include <pillion/module.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *ends(void *data)
{
    (void)data;
    usleep(20000);
    exit(3);
}

static int hook(pillion_instance *self, pillion_error_text *error)
{
    pthread_t thread;

    (void)self;
    (void)error;
    return pthread_create(&thread, NULL, ends, NULL);
}

PILLION_MODULE(.name = "start_thread", .version = "1.0.0", .start = hook);
