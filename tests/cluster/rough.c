/* A bad link, for kernels without netem: passes Ethernet frames between two TAP devices, loses some
 * of them, and delivers the rest late.
 *
 *     rough TAP TAP LOSS-PERCENT DELAY-MS SEED
 *
 * Both directions are treated alike, and frames never overtake each other. A TAP device offers no
 * offloading, so the kernel hands over packets that fit the MTU, with their checksums. It ends by a
 * signal, and prints at its end how many frames it has passed and lost. */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_MAX = 2048, FRAMES = 4096 };

struct frame {
    uint64_t due_ns;
    ssize_t size;
    unsigned char bytes[FRAME_MAX];
};

/* A direction: a ring of frames that wait for their time. What does not fit is lost, as in a
 * router. */
struct way {
    int from, to;
    unsigned first, count;
    struct frame *frames;
};

static volatile sig_atomic_t ended;
static unsigned long passed, lost;

static void end(int number)
{
    (void)number;
    ended = 1;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int tap_open(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0) {
        perror(name);
        exit(1);
    }
    return fd;
}

static void take(struct way *way, double loss, uint64_t delay_ns)
{
    struct frame passing;

    for (;;) {
        passing.size = read(way->from, passing.bytes, sizeof(passing.bytes));
        if (passing.size <= 0)
            return;
        if (way->count == FRAMES || drand48() < loss) {
            lost++;
            continue;
        }
        struct frame *frame = &way->frames[(way->first + way->count++) % FRAMES];
        frame->due_ns = now_ns() + delay_ns;
        frame->size = passing.size;
        memcpy(frame->bytes, passing.bytes, (size_t)passing.size);
    }
}

/* Delivers what is due. Returns when the next frame is. */
static uint64_t deliver(struct way *way)
{
    while (way->count > 0) {
        struct frame *frame = &way->frames[way->first];
        if (frame->due_ns > now_ns())
            return frame->due_ns;
        if (write(way->to, frame->bytes, (size_t)frame->size) == frame->size)
            passed++;
        else
            lost++;
        way->first = (way->first + 1) % FRAMES;
        way->count--;
    }
    return UINT64_MAX;
}

static void wait_for(struct pollfd *fds, uint64_t due)
{
    uint64_t now = now_ns();
    uint64_t left = due == UINT64_MAX ? 1000000000u : due > now ? due - now : 0;
    struct timespec timeout = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};

    ppoll(fds, 2, &timeout, NULL);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: rough TAP TAP LOSS-PERCENT DELAY-MS SEED\n");
        return 2;
    }
    double loss = atof(argv[3]) / 100;
    uint64_t delay_ns = (uint64_t)(atof(argv[4]) * 1e6);
    int one = tap_open(argv[1]), other = tap_open(argv[2]);
    struct way ways[2] = {{.from = one, .to = other}, {.from = other, .to = one}};
    struct pollfd fds[2] = {{.fd = one, .events = POLLIN}, {.fd = other, .events = POLLIN}};

    srand48(atol(argv[5]));
    signal(SIGTERM, end);
    signal(SIGINT, end);
    for (int i = 0; i < 2; i++)
        if ((ways[i].frames = calloc(FRAMES, sizeof(struct frame))) == NULL)
            return 1;
    printf("ready\n");
    fflush(stdout);
    while (!ended) {
        uint64_t first = deliver(&ways[0]), second = deliver(&ways[1]);
        wait_for(fds, first < second ? first : second);
        take(&ways[0], loss, delay_ns);
        take(&ways[1], loss, delay_ns);
    }
    printf("%lu frames passed, %lu lost\n", passed, lost);
    return 0;
}
