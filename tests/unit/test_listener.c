/* What listeners promise: see core/net/listener.h. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/listener.h"
#include "sockets.h"

/* The settings of a `listen` with this backlog, with or without reuseport. */
static const struct listen_settings *as_set(int backlog, bool reuseport)
{
    static struct listen_settings settings;

    settings = (struct listen_settings){
        .backlog = backlog, .reuseport = reuseport, .mode = 0666, .group = (gid_t)-1};
    return &settings;
}

static struct listeners listeners;
static struct error error;
static char directory[] = "/tmp/pillion-listener-XXXXXX";
static char path[128];

static struct address address_of(const char *format, unsigned port)
{
    struct address address;
    char text[ADDRESS_TEXT_SIZE];

    snprintf(text, sizeof(text), format, port); /* NOLINT: formats are literals below */
    ck_assert_msg(address_parse(text, NULL, false, &address, &error), "%s", error.text);
    return address;
}

static struct address unix_address(void)
{
    struct address address;
    char text[sizeof(path) + 8];

    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/socket", directory);
    snprintf(text, sizeof(text), "unix:%s", path);
    ck_assert_msg(address_parse(text, NULL, false, &address, &error), "%s", error.text);
    return address;
}

static struct listener *opened(const struct address *address, bool reuseport, uint32_t slots)
{
    struct listener *l = listener_open(&listeners, address, as_set(16, reuseport), slots, &error);
    ck_assert_msg(l != NULL, "%s", error.text);
    ck_assert_ptr_eq(listener_find(&listeners, address), l);
    return l;
}

/* True when a client of the address is accepted by `listener`. */
static bool serves(const struct listener *listener, const struct address *address)
{
    int fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool accepted = false;

    ck_assert_int_ge(fd, 0);
    if (connect(fd, (const struct sockaddr *)&address->socket, address->size) == 0) {
        for (uint32_t i = 0; i < listener->count && !accepted; i++) {
            int client = accept4(listener->fds[i], NULL, NULL, SOCK_CLOEXEC);
            accepted = client >= 0;
            if (accepted)
                close(client);
            else
                ck_assert_int_eq(errno, EAGAIN); /* never blocks */
        }
    }
    close(fd);
    return accepted;
}

static void refused(const struct address *address, const char *why)
{
    error.text[0] = '\0';
    ck_assert_ptr_null(listener_open(&listeners, address, as_set(16, false), 1, &error));
    ck_assert_msg(strstr(error.text, why) != NULL, "%s", error.text);
    ck_assert_msg(strstr(error.text, address->text) != NULL, "%s", error.text);
}

static void clean_up(void)
{
    while (listeners.first != NULL)
        listener_close(&listeners, listeners.first, true);
    unlink(path);
    rmdir(directory);
}

START_TEST(listener_serves_ipv4)
{
    struct address address = address_of("127.0.0.1:%u", free_port());
    struct listener *listener = opened(&address, false, 4);

    ck_assert_uint_eq(listener->count, 1);
    ck_assert(serves(listener, &address));
    ck_assert_int_ne(fcntl(listener->fds[0], F_GETFD) & FD_CLOEXEC, 0);
    listener_close(&listeners, listener, true);
    ck_assert_ptr_null(listener_find(&listeners, &address));
    /* At once again, though a connection of the former is still in TIME_WAIT. */
    listener = opened(&address, false, 1);
    ck_assert(serves(listener, &address));
    clean_up();
}
END_TEST

START_TEST(listener_serves_ipv6_beside_ipv4)
{
    uint16_t port = free_port();
    struct address four = address_of("*:%u", port), six = address_of("[::]:%u", port);
    struct address loopback_four = address_of("127.0.0.1:%u", port);
    struct address loopback_six = address_of("[::1]:%u", port);
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    bool there =
        probe >= 0 && bind(probe, (struct sockaddr *)&loopback_six.socket, loopback_six.size) == 0;
    if (probe >= 0)
        close(probe);
    if (!there) /* a machine without IPv6: that is said, and nothing else happens */
        refused(&six, "");
    struct listener *on_four = opened(&four, false, 1);
    ck_assert(serves(on_four, &loopback_four));
    if (there) {
        struct listener *on_six = opened(&six, false, 1);
        ck_assert(serves(on_six, &loopback_six));
        ck_assert(serves(on_four, &loopback_four));
        ck_assert_uint_ne(on_six->id, on_four->id);
    }
    clean_up();
}
END_TEST

START_TEST(listener_in_use_is_refused)
{
    struct address address = address_of("127.0.0.1:%u", free_port());
    struct listener *listener = opened(&address, false, 1);

    refused(&address, "another process listens there");
    ck_assert_ptr_eq(listeners.first, listener); /* nothing was added */
    ck_assert(serves(listener, &address));
    clean_up();
}
END_TEST

START_TEST(listener_of_an_address_that_is_not_here_is_refused)
{
    struct address address = address_of("192.0.2.1:%u", free_port());
    refused(&address, "EADDRNOTAVAIL");
    ck_assert_ptr_null(listeners.first);
}
END_TEST

/* ---- Unix sockets ---- */

START_TEST(listener_serves_a_path_and_removes_it)
{
    struct address address = unix_address();
    struct listener *listener = opened(&address, true, 4);
    struct stat status;

    ck_assert_uint_eq(listener->count, 1); /* there is no reuseport here */
    ck_assert(serves(listener, &address));
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0666);
    listener_close(&listeners, listener, false);
    ck_assert_int_eq(access(path, F_OK), 0);
    listener = opened(&address, false, 1); /* nobody listens there: the file is replaced */
    ck_assert(serves(listener, &address));
    listener_close(&listeners, listener, true);
    ck_assert_int_ne(access(path, F_OK), 0);
    clean_up();
}
END_TEST

START_TEST(listener_of_a_path_in_use_is_refused)
{
    struct address address = unix_address();
    struct listener *listener = opened(&address, false, 1);

    refused(&address, "another process listens there");
    ck_assert(serves(listener, &address));
    clean_up();
}
END_TEST

START_TEST(listener_with_a_full_queue_is_alive)
{
    struct address address = unix_address();
    int fds[64];
    unsigned count = 0;
    struct listener *listener = listener_open(&listeners, &address, as_set(1, false), 1, &error);

    ck_assert_ptr_nonnull(listener);
    do {
        fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    } while (connect(fds[count++], (struct sockaddr *)&address.socket, address.size) == 0 &&
             count < 64);
    ck_assert_int_eq(errno, EAGAIN);
    refused(&address, "another process listens there");
    while (count > 0)
        close(fds[--count]);
    ck_assert_int_eq(access(path, F_OK), 0);
    clean_up();
}
END_TEST

/* A socket of another kind belongs to another program, too: to a log, for instance. */
START_TEST(listener_never_takes_a_path_from_another_kind_of_socket)
{
    static const int kinds[] = {SOCK_DGRAM, SOCK_SEQPACKET};
    struct address address = unix_address();

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        int fd = socket(AF_UNIX, kinds[i] | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address.socket, address.size), 0);
        if (kinds[i] == SOCK_SEQPACKET)
            ck_assert_int_eq(listen(fd, 1), 0);
        refused(&address, "another process listens there");
        ck_assert_int_eq(access(path, F_OK), 0);
        close(fd);
        unlink(path);
    }
    clean_up();
}
END_TEST

START_TEST(listener_never_removes_a_file_that_is_no_socket)
{
    struct address address = unix_address();
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs("precious", file);
    fclose(file);
    refused(&address, "no socket, and would be lost");
    ck_assert_int_eq(access(path, F_OK), 0);
    unlink(path);
    ck_assert_int_eq(symlink("/dev/null", path), 0);
    refused(&address, "no socket, and would be lost");
    clean_up();
}
END_TEST

START_TEST(listener_in_a_directory_that_is_not_there_is_refused)
{
    struct address address = unix_address();

    rmdir(directory);
    refused(&address, "ENOENT");
}
END_TEST

/* ---- reuseport and changes ---- */

static bool listens(int fd)
{
    int on = 0;
    socklen_t size = sizeof(on);

    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size), 0);
    return on != 0;
}

static void prepare(struct listener *listener, bool reuseport, uint32_t slots)
{
    ck_assert_msg(listener_prepare(listener, reuseport, slots, &error), "%s", error.text);
}

START_TEST(listener_with_reuseport_only_ever_adds_sockets)
{
    struct address address = address_of("127.0.0.1:%u", free_port());
    struct listener *listener = opened(&address, true, 2);
    uint32_t id = listener->id;
    int first = listener->fds[0];

    ck_assert_uint_eq(listener->count, 2);
    prepare(listener, true, 5);
    ck_assert_uint_eq(listener->count, 5);
    ck_assert(listener_commit(listener, as_set(16, true), &error));
    prepare(listener, true, 3);
    ck_assert(listener_commit(listener, as_set(16, true), &error));
    ck_assert_uint_eq(listener->count, 5);
    ck_assert_int_eq(listener->fds[0], first);
    ck_assert_uint_eq(listener->id, id);
    for (unsigned i = 0; i < 50; i++)
        ck_assert(serves(listener, &address));
    clean_up();
}
END_TEST

/* Clients in the queue of a listener that listened too early would wait for workers that never
 * come. */
START_TEST(listener_listens_with_added_sockets_only_from_the_commit_on)
{
    struct address address = address_of("127.0.0.1:%u", free_port());
    struct listener *listener = opened(&address, true, 1);

    prepare(listener, true, 4);
    ck_assert(listens(listener->fds[0]));
    for (uint32_t i = 1; i < 4; i++)
        ck_assert(!listens(listener->fds[i]));
    listener_revert(listener);
    ck_assert_uint_eq(listener->count, 1);
    ck_assert(serves(listener, &address));
    prepare(listener, true, 4);
    ck_assert(listener_commit(listener, as_set(16, true), &error));
    for (uint32_t i = 0; i < 4; i++)
        ck_assert(listens(listener->fds[i]));
    clean_up();
}
END_TEST

START_TEST(listener_takes_reuseport_and_gives_it_up_without_closing_a_socket)
{
    struct address address = address_of("127.0.0.1:%u", free_port());
    struct listener *listener = opened(&address, false, 3);

    ck_assert_uint_eq(listener->count, 1);
    prepare(listener, true, 3);
    listener_revert(listener);
    ck_assert_uint_eq(listener->count, 1);
    refused(&address, "another process listens there");
    prepare(listener, true, 3);
    ck_assert(listener_commit(listener, as_set(16, true), &error));
    ck_assert_uint_eq(listener->count, 3);
    for (unsigned i = 0; i < 50; i++)
        ck_assert(serves(listener, &address));
    prepare(listener, false, 3);
    ck_assert(listener_commit(listener, as_set(16, false), &error));
    ck_assert_uint_eq(listener->count, 3);
    ck_assert(!listener->reuseport);
    for (unsigned i = 0; i < 50; i++)
        ck_assert(serves(listener, &address));
    clean_up();
}
END_TEST

/* The length of the queue that a socket of TCP listens with: tcp_diag(7) has it there, too. */
static unsigned queue_of(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);

    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info.tcpi_sacked;
}

START_TEST(listener_has_its_queue_back_after_a_commit)
{
    struct address address = address_of("127.0.0.1:%u", free_port());
    struct listener *listener = opened(&address, false, 1);

    ck_assert_uint_eq(queue_of(listener->fds[0]), 16);
    ck_assert_int_eq(listen(listener->fds[0], 0), 0);
    ck_assert_uint_eq(queue_of(listener->fds[0]), 0);
    ck_assert(listener_commit(listener, as_set(16, false), &error));
    ck_assert_uint_eq(queue_of(listener->fds[0]), 16);
    clean_up();
}
END_TEST

/* ---- what modules do to sockets that workers share ---- */

static void mend(struct listener *listener)
{
    ck_assert_msg(listener_mend(listener, &error), "%s", error.text);
}

START_TEST(listener_that_was_shut_down_listens_again)
{
    static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    struct address address = address_of("127.0.0.1:%u", free_port());
    struct listener *listener = opened(&address, true, 3);

    for (uint32_t i = 0; i < 3; i++) {
        int fd = listener->fds[i];
        ck_assert_int_eq(i < 2 ? shutdown(fd, SHUT_RDWR) : connect(fd, &nowhere, sizeof(nowhere)),
                         0);
        ck_assert(!listens(fd));
        ck_assert(listener_is_shut_down(fd));
    }
    ck_assert(!serves(listener, &address));
    ck_assert(listener_is_reached(listener)); /* or will be */
    mend(listener);
    for (uint32_t i = 0; i < 3; i++)
        ck_assert(listens(listener->fds[i]) && !listener_is_shut_down(listener->fds[i]));
    for (unsigned i = 0; i < 50; i++)
        ck_assert(serves(listener, &address));
    clean_up();
}
END_TEST

START_TEST(listener_with_a_taken_port_is_lost_until_the_port_is_free)
{
    struct address address = address_of("127.0.0.1:%u", free_port());
    struct listener *listener = opened(&address, false, 1);
    struct listeners others = {0};

    ck_assert_int_eq(shutdown(listener->fds[0], SHUT_RDWR), 0);
    struct listener *other = listener_open(&others, &address, as_set(16, false), 1, &error);
    ck_assert_msg(other != NULL, "%s", error.text);
    ck_assert(!listener_mend(listener, &error));
    ck_assert_msg(strstr(error.text, "EADDRINUSE") != NULL, "%s", error.text);
    listeners_mend(&listeners);
    ck_assert(listener->lost);
    listener_close(&others, other, true);
    listeners_mend(&listeners);
    ck_assert(!listener->lost);
    ck_assert(serves(listener, &address));
    clean_up();
}
END_TEST

START_TEST(listener_that_blocks_does_not_any_more)
{
    struct address address = address_of("127.0.0.1:%u", free_port());
    struct listener *listener = opened(&address, true, 2);
    int fd = listener->fds[1];

    ck_assert_int_eq(fcntl(fd, F_SETFL, O_ASYNC), 0);
    ck_assert_int_eq(accept4(fd, NULL, NULL, SOCK_CLOEXEC), -1); /* not for long */
    ck_assert_int_eq(errno, EAGAIN);
    mend(listener);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ASYNC), O_NONBLOCK);
    ck_assert(serves(listener, &address));
    clean_up();
}
END_TEST

START_TEST(listener_of_a_path_that_was_shut_down_is_not_reached)
{
    struct address address = unix_address();
    struct listener *former = opened(&address, false, 1);

    ck_assert_int_eq(shutdown(former->fds[0], SHUT_RD), 0);
    ck_assert(!listener_is_reached(former));
    ck_assert(!listener_mend(former, &error));
    ck_assert_msg(strstr(error.text, "a reload makes it anew") != NULL, "%s", error.text);
    struct listener *listener = opened(&address, false, 1);
    ck_assert(serves(listener, &address));
    clean_up();
}
END_TEST

START_TEST(listener_without_reuseport_has_one_socket)
{
    struct address address = address_of("127.0.0.1:%u", free_port());
    struct listener *listener = opened(&address, false, 8);

    prepare(listener, false, 16);
    ck_assert(listener_commit(listener, as_set(64, false), &error));
    ck_assert_uint_eq(listener->count, 1);
    ck_assert_int_eq(listener->backlog, 64);
    ck_assert(serves(listener, &address));
    clean_up();
}
END_TEST

/* ---- whose file it is ---- */

START_TEST(listener_is_reached_for_as_long_as_its_file_is_its_own)
{
    struct address address = unix_address();
    struct listener *former = opened(&address, false, 1);

    ck_assert(listener_is_reached(former));
    unlink(path);
    ck_assert(!listener_is_reached(former));
    struct listener *listener = opened(&address, false, 1);
    ck_assert(!listener_is_reached(former));
    ck_assert(listener_is_reached(listener));
    listener_close(&listeners, former, true); /* removes nothing */
    ck_assert(serves(listener, &address));
    clean_up();
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(listener_of_a_path_lets_everybody_connect_whatever_the_mask)
{
    struct address address = unix_address();
    struct stat status;
    mode_t mask = umask(0);

    opened(&address, false, 1);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0666);
    listener_close(&listeners, listeners.first, true);
    umask(077);
    opened(&address, false, 1);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0666);
    ck_assert_uint_eq(umask(mask), 077);
    clean_up();
}
END_TEST

START_TEST(listeners_have_ids_that_never_come_again)
{
    uint32_t last = 0;

    for (unsigned i = 0; i < 10; i++) {
        struct address one = address_of("127.0.0.1:%u", free_port());
        struct listener *a = opened(&one, false, 1);
        struct address two = address_of("127.0.0.1:%u", free_port());
        struct listener *b = opened(&two, false, 1);
        ck_assert_uint_gt(a->id, last);
        ck_assert_uint_gt(b->id, a->id);
        last = b->id;
        listener_close(&listeners, a, false);
        ck_assert_ptr_null(listener_find(&listeners, &one));
        ck_assert_ptr_eq(listener_find(&listeners, &two), b);
        listener_close(&listeners, b, false);
    }
    ck_assert_ptr_null(listeners.first);
}
END_TEST

UNIT_MAIN("listener", listener_serves_ipv4, listener_serves_ipv6_beside_ipv4,
          listener_in_use_is_refused, listener_of_an_address_that_is_not_here_is_refused,
          listener_serves_a_path_and_removes_it, listener_of_a_path_in_use_is_refused,
          listener_with_a_full_queue_is_alive,
          listener_never_takes_a_path_from_another_kind_of_socket,
          listener_never_removes_a_file_that_is_no_socket,
          listener_in_a_directory_that_is_not_there_is_refused,
          listener_with_reuseport_only_ever_adds_sockets,
          listener_listens_with_added_sockets_only_from_the_commit_on,
          listener_takes_reuseport_and_gives_it_up_without_closing_a_socket,
          listener_has_its_queue_back_after_a_commit, listener_that_was_shut_down_listens_again,
          listener_with_a_taken_port_is_lost_until_the_port_is_free,
          listener_that_blocks_does_not_any_more,
          listener_of_a_path_that_was_shut_down_is_not_reached,
          listener_without_reuseport_has_one_socket,
          listener_is_reached_for_as_long_as_its_file_is_its_own,
          listener_of_a_path_lets_everybody_connect_whatever_the_mask,
          listeners_have_ids_that_never_come_again)
