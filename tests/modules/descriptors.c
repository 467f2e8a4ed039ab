/* Methods that do to descriptors what breaks them: to those of their server, and to their own. */
#include <fcntl.h>
#include <netinet/in.h>
#include <pillion/module.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

#define FDS_MAX 1024

/* ---- Which descriptors ---- */

static int option_of(int fd, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

static int is_tcp_listener(int fd)
{
    return option_of(fd, SO_DOMAIN) == AF_INET && option_of(fd, SO_ACCEPTCONN) == 1;
}

static int is_unix_listener(int fd)
{
    return option_of(fd, SO_DOMAIN) == AF_UNIX && option_of(fd, SO_ACCEPTCONN) == 1;
}

static int is_client(int fd)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof(peer);

    return option_of(fd, SO_DOMAIN) == AF_INET &&
           getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
}

static int is_channel(int fd)
{
    return option_of(fd, SO_TYPE) == SOCK_SEQPACKET;
}

/* All but the master's, which comes first. */
static int is_vaults_channel(int fd)
{
    int before = 0;

    for (int lower = 3; lower < fd; lower++)
        before += is_channel(lower);
    return is_channel(fd) && before > 0;
}

/* Of a server with one address of TLS: the queue of its clients comes before all channels. */
static int is_queue(int fd)
{
    return is_channel(fd) && !is_vaults_channel(fd);
}

static int is_log(int fd)
{
    char path[64], target[256] = "";

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, ".log") != NULL;
}

static const struct {
    const char *name;
    int (*is)(int fd);
} kinds[] = {
    {"listener", is_tcp_listener},
    {"unix", is_unix_listener},
    {"client", is_client},
    {"channel", is_channel},
    {"log", is_log},
    {"vault", is_vaults_channel},
    {"queue", is_queue},
};

/* ---- What is done to them ---- */

static const int zero = 0, one = 1;
static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

static long by_libc(const char *call, int fd)
{
    if (strcmp(call, "close") == 0)
        return close(fd);
    if (strcmp(call, "close_range") == 0)
        return close_range((unsigned)fd, (unsigned)fd, 0);
    if (strcmp(call, "dup2") == 0)
        return dup2(0, fd);
    if (strcmp(call, "dup3") == 0)
        return dup3(0, fd, O_CLOEXEC);
    if (strcmp(call, "shutdown") == 0)
        return shutdown(fd, SHUT_RDWR);
    if (strcmp(call, "listen") == 0)
        return listen(fd, 0);
    if (strcmp(call, "connect") == 0)
        return connect(fd, &nowhere, sizeof(nowhere));
    if (strcmp(call, "setsockopt") == 0)
        return setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &zero, sizeof(zero));
    if (strcmp(call, "fcntl(F_SETFL)") == 0)
        return fcntl(fd, F_SETFL, 0);
    if (strcmp(call, "fcntl64(F_SETFL)") == 0)
        return fcntl64(fd, F_SETFL, 0);
    if (strcmp(call, "ioctl(FIONBIO)") == 0)
        return ioctl(fd, FIONBIO, &zero);
    if (strcmp(call, "ioctl(FIOASYNC)") == 0)
        return ioctl(fd, FIOASYNC, &zero);
    return -1;
}

/* Around libc. */
static long by_kernel(const char *call, int fd)
{
    static const struct timeval for_ever = {0};

    if (strcmp(call, "shutdown") == 0)
        return syscall(SYS_shutdown, fd, SHUT_RDWR);
    if (strcmp(call, "connect") == 0)
        return syscall(SYS_connect, fd, &nowhere, sizeof(nowhere));
    if (strcmp(call, "listen") == 0)
        return syscall(SYS_listen, fd, 0);
    if (strcmp(call, "wait") == 0) /* as long as it takes */
        syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof(for_ever));
    if (strcmp(call, "fcntl(F_SETFL)") == 0 || strcmp(call, "wait") == 0)
        return syscall(SYS_fcntl, fd, F_SETFL, 0);
    return -1;
}

static long do_to(const char *kind, const char *call, int raw)
{
    long done = 0;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        for (int fd = 3; fd < FDS_MAX && strcmp(kinds[i].name, kind) == 0; fd++) {
            if (kinds[i].is(fd))
                done += (raw ? by_kernel : by_libc)(call, fd) >= 0;
        }
    }
    return done;
}

static const char *text_of(pillion_request *req, const char *member)
{
    return cJSON_GetStringValue(cJSON_GetObjectItem(pillion_params(req), member));
}

/* {"kind": KIND, "call": CALL}: by libc. The number of those that it was done to. */
static void breaks(pillion_request *req)
{
    pillion_reply(req, "breaks",
                  cJSON_CreateNumber((double)do_to(text_of(req, "kind"), text_of(req, "call"), 0)));
}

/* The same, around libc. */
static void raw(pillion_request *req)
{
    pillion_reply(req, "raw",
                  cJSON_CreateNumber((double)do_to(text_of(req, "kind"), text_of(req, "call"), 1)));
}

/* ---- In threads ---- */

static void work(void *data)
{
    do_to("listener", data, 0);
}

static void done(pillion_request *req, void *data)
{
    (void)data;
    if (req != NULL)
        pillion_reply(req, "pooled", cJSON_CreateNull());
}

/* {"call": CALL}: to listeners, by a thread of the pool. */
static void pooled(pillion_request *req)
{
    static char call[64];

    snprintf(call, sizeof(call), "%s", text_of(req, "call"));
    pillion_offload(req, 10000, work, done, call);
}

static int run(void *data)
{
    work(data);
    return 0;
}

/* Likewise, by one that is not made with pthread_create(3). */
static void threaded(pillion_request *req)
{
    thrd_t thread;

    if (thrd_create(&thread, run, (void *)text_of(req, "call")) == thrd_success)
        thrd_join(thread, NULL);
    pillion_reply(req, "threaded", cJSON_CreateNull());
}

/* ---- Its own ---- */

/* All of it, to descriptors of its own. True when it works as it does without a server. */
static void own(pillion_request *req)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    int good = bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0 &&
               getsockname(listener, (struct sockaddr *)&address, &size) == 0 &&
               connect(client, (struct sockaddr *)&address, size) == 0 &&
               setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0 &&
               fcntl(client, F_SETFL, O_NONBLOCK) == 0 && fcntl64(client, F_GETFL) & O_NONBLOCK;

    on = 0;
    good = good && ioctl(client, FIONBIO, &on) == 0 && !(fcntl(client, F_GETFL) & O_NONBLOCK) &&
           fcntl(client, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK &&
           shutdown(client, SHUT_RDWR) == 0 && shutdown(listener, SHUT_RDWR) == 0 &&
           dup2(listener, client) == client && close(client) == 0 &&
           close_range((unsigned)listener, (unsigned)listener, 0) == 0 &&
           close_range(3, ~0u, 1u << 2) == 0; /* CLOSE_RANGE_CLOEXEC: harms nobody */
    pillion_reply(req, "own", cJSON_CreateBool(good));
}

/* A child closes all that it was left with, as those do that start a program. Its exit status. */
static void child(pillion_request *req)
{
    char status = 1;
    int result[2];

    if (pipe2(result, O_CLOEXEC) < 0)
        return;
    if (fork() == 0) {
        dup2(result[1], 3);
        closefrom(4);
        for (int fd = 4; fd < FDS_MAX; fd++)
            close(fd);
        status = 0;
        _exit(write(3, &status, 1) != 1);
    }
    close(result[1]);
    pillion_reply(req, "child", cJSON_CreateBool(read(result[0], &status, 1) == 1 && status == 0));
    close(result[0]);
}

/* Closes the standard streams by way of libc, which closes their descriptors by itself. */
static void streams(pillion_request *req)
{
    bool good = fclose(stdin) == 0 && fclose(stdout) == 0 && fclose(stderr) == 0;

    pillion_reply(req, "streams", cJSON_CreateBool(good));
}

/* What a library prints that knows nothing of it. */
static void prints(pillion_request *req)
{
    ssize_t put = 0;

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        put += write(fd, "printed\n", 8);
    pillion_reply(req, "prints", cJSON_CreateNumber((double)put));
}

/* Opens files in the place of the standard streams, and does not answer, which is logged. */
static void mute(pillion_request *req)
{
    (void)req;
    while (open("/dev/null", O_RDWR | O_CLOEXEC) < STDERR_FILENO)
        ;
}

/* ---- In a hook ---- */

struct config {
    bool start_breaks;
};

static const pillion_directive directives[] = {
    {.name = "start_breaks",
     .type = PILLION_FLAG,
     .offset = offsetof(struct config, start_breaks),
     .summary = "Shuts the listeners down in start."},
    {0},
};

static int start(pillion_instance *self, pillion_error_text *error)
{
    const struct config *config = pillion_config(self);

    (void)error;
    if (config->start_breaks)
        do_to("listener", "shutdown", 0);
    return 0;
}

static const pillion_method methods[] = {
    {.name = "breaks", .handler = breaks},   {.name = "raw", .handler = raw},
    {.name = "pooled", .handler = pooled},   {.name = "threaded", .handler = threaded},
    {.name = "own", .handler = own},         {.name = "child", .handler = child},
    {.name = "streams", .handler = streams}, {.name = "prints", .handler = prints},
    {.name = "mute", .handler = mute},       {0},
};

PILLION_MODULE(.name = "descriptors", .version = "1", .methods = methods, .directives = directives,
               .config_size = sizeof(struct config), .start = start,
               .needs = PILLION_NEEDS_NETWORK | PILLION_NEEDS_PROCESSES);
