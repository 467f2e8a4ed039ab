/* The functions of libc that the server imports and test_calls does not make fail, and why. The
 * others are in calls.h. */
static const struct exceptions {
    const char *why;
    const char *names; /* a space before and after each */
} exceptions[] = {
    {"allocates: fails by its number, in tests of their own", " calloc malloc realloc vasprintf "},
    {"of the dynamic loader: broken modules make it fail (tests/modules)",
     " dladdr1 dlerror dlinfo dlopen dlsym "},
    {"does not return", " abort exit raise "},
    {"prints, or writes to memory: commands look at fflush and ferror",
     " dprintf ferror fprintf fputc fputs fwrite printf putc putchar puts snprintf strftime "
     "sprintf vfprintf vsnprintf "},
    {"cannot fail as it is used: POSIX locks in this process's memory",
     " pthread_cond_broadcast pthread_cond_destroy pthread_cond_init pthread_cond_signal "
     "pthread_cond_wait pthread_detach pthread_join pthread_mutex_destroy pthread_mutex_init "
     "pthread_mutex_lock pthread_mutex_unlock pthread_mutexattr_destroy pthread_mutexattr_init "
     "pthread_mutexattr_settype pthread_once "},
    {"cannot fail, or fails only for what it is given",
     " __isoc99_sscanf alarm clock_gettime dirfd environ explicit_bzero free freeaddrinfo "
     "gai_strerror getegid getrandom "
     "getenv geteuid getpid getppid getrlimit getrusage getsid globfree gmtime_r inet_ntop "
     "inet_pton isatty localtime_r malloc_usable_size memchr memcmp memcpy memmem memmove memset "
     "newlocale pthread_sigmask qsort qsort_r setitimer setpgid sigabbrev_np sigaction sigaddset "
     "sigemptyset signal "
     "memrchr strcasecmp strtoll strtoull sigprocmask stderr stdin stdout stpcpy strchr strcmp "
     "strcpy strcspn strerror "
     "strerrordesc_np strerrorname_np strlen strncasecmp strncmp strncpy strnlen strpbrk strrchr "
     "strsep strspn strstr strtod strtod_l strtok_r strtol strtoul time umask uname "
     "unsetenv "},
};
