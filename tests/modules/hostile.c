/* Attacks of a module on its worker, the vault and the master: wild stores into the memory that
 * processes share, descriptors whose closing waits, memory files cut short, and a look into the
 * vault. A test calls it with a number or a name. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pillion/module.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static void reply_number(pillion_request *req, long number)
{
    pillion_reply(req, "done", cJSON_CreateNumber((double)number));
}

/* ---- Memory ---- */

static uint64_t state;

static uint64_t random_below(uint64_t limit)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % limit;
}

/* Writes eight bytes, one time in two small ones, anywhere in what is mapped and can be written. */
static void store(char *from, size_t size)
{
    uint64_t value = random_below(2) == 0 ? random_below(300) : state * 0x9e3779b97f4a7c15u;
    /* Half of them where the headers are. */
    size_t at = random_below(2) == 0 ? random_below(size < 8192 ? size : 8192) : random_below(size);

    *(volatile uint64_t *)(void *)(from + at / 8 * 8) = value;
}

/* {"map": "board" | "zone" | "arena", "seed": N, "stores": N}: into all mappings of that name. */
static void wild(pillion_request *req)
{
    const cJSON *params = pillion_params(req);
    const char *map = cJSON_GetStringValue(cJSON_GetObjectItem(params, "map"));
    double stores = cJSON_GetNumberValue(cJSON_GetObjectItem(params, "stores"));
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512], name[64], write;
    unsigned long from, to;
    long done = 0;

    state = (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItem(params, "seed")) + 1;
    snprintf(name, sizeof(name), "pillion %s", map);
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        if (strstr(line, name) == NULL || sscanf(line, "%lx-%lx r%c", &from, &to, &write) != 3 ||
            write != 'w')
            continue;
        for (long i = 0; i < (long)stores; i++, done++)
            store((char *)from, to - from);
    }
    if (maps != NULL)
        fclose(maps);
    reply_number(req, done);
}

/* Writes to the board where others read it: that must kill this worker. */
static void board(pillion_request *req)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long from = 0, to, longest = 0, at;
    char line[512];

    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        if (strstr(line, "pillion board") != NULL && sscanf(line, "%lx-%lx", &at, &to) == 2 &&
            to - at > longest) {
            longest = to - at;
            from = at;
        }
    }
    memset((void *)from, 0x41, 4096);
    reply_number(req, (long)longest);
}

/* Writes over the arena's header, and dies. */
static void header(pillion_request *req)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long at;
    char line[512];

    (void)req;
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        if (strstr(line, "pillion arena") != NULL && sscanf(line, "%lx-", &at) == 1)
            memset((void *)at, 0x41, 48);
    }
    abort();
}

/* True for the file of the log, which a worker has open above descriptor 2, too. */
static bool is_log(int fd)
{
    struct stat file, log;

    return fstat(fd, &file) == 0 && fstat(STDERR_FILENO, &log) == 0 && file.st_dev == log.st_dev &&
           file.st_ino == log.st_ino;
}

/* Cuts every memory file that this process has open; the number of those that became shorter. */
static void truncates(pillion_request *req)
{
    long done = 0;

    for (int fd = 3; fd < 1024; fd++)
        done += lseek(fd, 0, SEEK_END) > 0 && !is_log(fd) && ftruncate(fd, 0) == 0;
    reply_number(req, done);
}

/* ---- Descriptors ---- */

/* A connection to itself with more data under way than its peer takes, which makes close(2) wait.
 */
static int lingering_socket(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct linger linger = {.l_onoff = 1, .l_linger = 60};
    socklen_t size = sizeof(address);
    static char data[65536];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    bind(listener, (struct sockaddr *)&address, size);
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&address, &size);
    if (connect(fd, (struct sockaddr *)&address, size) < 0)
        return -1;
    accept(listener, NULL, NULL); /* and nobody reads */
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (send(fd, data, sizeof(data), 0) > 0)
        ;
    fcntl(fd, F_SETFL, 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    return fd;
}

static int send_descriptor(int channel, int fd, const void *data, size_t size)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec io = {(void *)(uintptr_t)data, size};
    struct msghdr header = {.msg_iov = &io,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof(control.bytes)};

    control.align = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(4)};
    memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
    return (int)sendmsg(channel, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Sends such a socket by every channel there is, and keeps no copy. The message is one that makes
 * no sense, or the type of one that does: {"type": N}. The number of those that went. */
static void linger(pillion_request *req)
{
    uint32_t message[64] = {0};
    long sent = 0;

    message[0] = (uint32_t)cJSON_GetNumberValue(cJSON_GetObjectItem(pillion_params(req), "type"));
    for (int fd = 3; fd < 1024; fd++) {
        int domain = 0, type = 0;
        socklen_t size = sizeof(int);
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
        if (domain != AF_UNIX || type != SOCK_SEQPACKET)
            continue;
        int trap = lingering_socket();
        if (send_descriptor(fd, trap, message, sizeof(message)) > 0)
            sent++;
        else
            setsockopt(trap, SOL_SOCKET, SO_LINGER, &(struct linger){0}, sizeof(struct linger));
        close(trap);
    }
    reply_number(req, sent);
}

/* ---- The vault ---- */

/* Tries to trace the process in params, and to take its fourth descriptor: 0 when neither works. */
static void spy(pillion_request *req)
{
    pid_t pid = (pid_t)cJSON_GetNumberValue(pillion_params(req));
    long did = 0;

    if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0) {
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
        did += 1;
    }
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    did += 2 * (syscall(SYS_pidfd_getfd, process, 3, 0) >= 0);
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
    did += 4 * (open(path, O_RDONLY | O_CLOEXEC) >= 0);
    reply_number(req, did);
}

static const pillion_method methods[] = {
    {.name = "wild", .handler = wild},
    {.name = "board", .handler = board},
    {.name = "header", .handler = header},
    {.name = "truncates", .handler = truncates},
    {.name = "linger", .handler = linger},
    {.name = "spy", .handler = spy},
    {0},
};

PILLION_MODULE(.name = "hostile", .version = "1", .methods = methods,
               .needs = PILLION_NEEDS_NETWORK);
