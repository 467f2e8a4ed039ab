/* Process titles. See title.h. */
#include "process/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/memory.h"

static char *area;
static size_t area_size;

/* The strings of environ, from which a child takes some away (process/child.c). */
static char *variables;

/* Copies environ, whose memory is about to be written over. */
static void copy_environ(void)
{
    size_t count = 0, size = 0;

    for (; environ[count] != NULL; count++)
        size += strlen(environ[count]) + 1;
    char **copy = must_alloc((count + 1) * sizeof(*copy));
    char *to = variables = must_alloc(size + 1);
    for (size_t i = 0; i < count; i++) {
        copy[i] = to;
        to = stpcpy(to, environ[i]) + 1;
    }
    copy[count] = NULL;
    environ = copy;
}

void title_init(int argc, char **argv)
{
    char *end = argv[0];

    /* The strings of argv and environ lie in memory one after the other (proc_pid_cmdline(5)). */
    for (int i = 0; i < argc; i++) {
        if (argv[i] == end)
            end += strlen(end) + 1;
    }
    for (char **variable = environ; *variable != NULL; variable++) {
        if (*variable == end)
            end += strlen(end) + 1;
    }
    area = argv[0];
    area_size = (size_t)(end - area);

    copy_environ();
    for (int i = 0; i < argc; i++)
        argv[i] = must_strdup(argv[i]);
}

void title_set(const char *format, ...)
{
    char text[256] = "pillion: ";
    size_t start = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + start, sizeof(text) - start, format, args);
    va_end(args);
    prctl(PR_SET_NAME, text + start, 0, 0, 0);
    if (area == NULL)
        return;
    size_t size = strlen(text);
    if (size >= area_size)
        size = area_size - 1;
    memset(area, 0, area_size);
    memcpy(area, text, size);
}
