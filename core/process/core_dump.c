/* Core dumps. See core_dump.h. */
#include "process/core_dump.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

static rlim_t wanted(const struct settings *settings)
{
    return settings->core_unlimited ? RLIM_INFINITY : (rlim_t)settings->core_limit;
}

void core_dump_limit(const struct settings *settings)
{
    struct rlimit limit;

    if (!settings->core_limited || getrlimit(RLIMIT_CORE, &limit) < 0)
        return;
    struct rlimit most = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    limit.rlim_cur = wanted(settings);
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_max = limit.rlim_cur;
    if (setrlimit(RLIMIT_CORE, &limit) == 0)
        return;
    log_warn("core dumps are limited to %llu bytes by the hard limit, whatever worker_rlimit_core "
             "says",
             (unsigned long long)most.rlim_max);
    setrlimit(RLIMIT_CORE, &most);
}

bool core_dump_enter(const struct settings *settings, struct error *error)
{
    if (settings->working_directory == NULL || chdir(settings->working_directory) == 0)
        return true;
    return error_errno(error, "workers cannot go to the working_directory %s",
                       settings->working_directory);
}

/* ---- Where they are ---- */

/* The first line of a file of /proc/sys/kernel; "" when there is none. */
static void read_kernel(const char *name, char *text, size_t size)
{
    char path[64];

    text[0] = '\0';
    snprintf(path, sizeof(path), "/proc/sys/kernel/%s", name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(text, (int)size, file) != NULL)
        text[strcspn(text, "\n")] = '\0';
    fclose(file);
}

bool core_dump_folder(char folder[PATH_MAX])
{
    char pattern[256];
    struct rlimit limit;

    if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_cur == 0)
        return false;
    read_kernel("core_pattern", pattern, sizeof(pattern));
    char *slash = strrchr(pattern, '/');
    if (pattern[0] == '|' || slash == pattern)
        return false;
    if (pattern[0] != '/') /* the folder of all of them is not to be written to */
        return getcwd(folder, PATH_MAX) != NULL && strcmp(folder, "/") != 0;
    *slash = '\0';
    snprintf(folder, PATH_MAX, "%s", pattern);
    return true;
}

bool signal_dumps_core(int number)
{
    static const int numbers[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGABRT,
                                  SIGTRAP, SIGQUIT, SIGXCPU, SIGXFSZ, SIGSYS};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        if (number == numbers[i])
            return true;
    }
    return false;
}

/* Appends the value of the letter after a % (core(5)); a * where only the kernel knows it. */
static void append_letter(char letter, const struct generation *generation, pid_t pid, int number,
                          struct text *path)
{
    const struct identity *identity = &generation->identity;
    struct utsname host;

    if (letter == '%')
        text_append_char(path, '%');
    else if (letter == 'p')
        text_printf(path, "%d", (int)pid);
    else if (letter == 'u')
        text_printf(path, "%u", (unsigned)(identity->change ? identity->user : geteuid()));
    else if (letter == 'g')
        text_printf(path, "%u", (unsigned)(identity->change ? identity->group : getegid()));
    else if (letter == 's')
        text_printf(path, "%d", number);
    else if (letter == 'h' && uname(&host) == 0)
        text_append_string(path, host.nodename);
    else
        text_append_char(path, '*');
}

/* Appends the working directory of the generation's workers. */
static void append_directory(const struct generation *generation, struct text *path)
{
    char own[PATH_MAX];
    const char *directory = generation->settings->working_directory;

    if (directory == NULL)
        directory = getcwd(own, sizeof(own)) == NULL ? "?" : own;
    text_append_string(path, directory);
}

static void append_path(const char *pattern, const struct generation *generation, pid_t pid,
                        int number, struct text *path)
{
    char uses_pid[8];

    if (pattern[0] != '/') {
        append_directory(generation, path);
        text_append_char(path, '/');
    }
    for (const char *c = pattern; *c != '\0'; c++) {
        if (c[0] != '%')
            text_append_char(path, *c);
        else if (c[1] != '\0')
            append_letter(*++c, generation, pid, number, path);
    }
    read_kernel("core_uses_pid", uses_pid, sizeof(uses_pid));
    if (uses_pid[0] == '1' && strstr(pattern, "%p") == NULL)
        text_printf(path, ".%d", (int)pid);
}

static bool is_limited_to_nothing(const struct settings *settings)
{
    struct rlimit limit;

    if (settings->core_limited)
        return wanted(settings) == 0;
    return getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_cur == 0;
}

void core_dump_describe(const struct generation *generation, pid_t pid, int status,
                        struct text *said)
{
    const struct identity *user = &generation->identity;
    char pattern[256];

    if (!WIFSIGNALED(status) || !signal_dumps_core(WTERMSIG(status)))
        return;
    read_kernel("core_pattern", pattern, sizeof(pattern));
    bool piped = pattern[0] == '|';
    if (WCOREDUMP(status) && piped) {
        text_printf(said, "the core dump was given to %.*s (core_pattern)",
                    (int)strcspn(pattern + 1, " "), pattern + 1);
    } else if (WCOREDUMP(status)) {
        text_append_string(said, "the core dump is ");
        append_path(pattern, generation, pid, WTERMSIG(status), said);
    } else if (!piped && !is_limited_to_nothing(generation->settings)) {
        text_append_string(said, "no core dump could be written as ");
        append_path(pattern, generation, pid, WTERMSIG(status), said);
        text_printf(said, "; may the user %s write there, and is there room? (working_directory)",
                    user->change ? user->name : "of the server");
    }
}
