/* How OpenSSL reads and writes a server's sockets: as its own BIO_s_socket(3) does, but without the
 * system call that finds nothing more.
 *
 * OpenSSL reads as much as its buffer takes (SSL_CTX_set_read_ahead(3)). A read that gives less has
 * emptied the socket, so the next one is told "not yet" at once. Its caller waits for the socket
 * after that, level-triggered, and misses nothing. */
#include <errno.h>
#include <openssl/bio.h>
#include <sys/socket.h>

#include "tls/openssl/private.h"

static int bio_read(BIO *bio, char *to, int room)
{
    struct tls_session *session = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (session->dry) {
        session->dry = false;
        BIO_set_retry_read(bio);
        errno = EAGAIN;
        return -1;
    }
    ssize_t got = recv(session->fd, to, (size_t)room, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(bio);
    session->dry = got > 0 && got < room;
    session->ended = got == 0;
    return (int)got;
}

static int bio_write(BIO *bio, const char *from, int size)
{
    const struct tls_session *session = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    ssize_t sent = send(session->fd, from, (size_t)size, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
        BIO_set_retry_write(bio);
    return (int)sent;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    const struct tls_session *session = BIO_get_data(bio);

    (void)number, (void)pointer;
    if (command == BIO_CTRL_EOF)
        return session->ended;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method_make(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "socket");

    if (method == NULL || BIO_meth_set_read(method, bio_read) != 1 ||
        BIO_meth_set_write(method, bio_write) != 1 || BIO_meth_set_ctrl(method, bio_control) != 1)
        return NULL;
    return method;
}

bool socket_use(struct tls_session *session, int fd)
{
    static BIO_METHOD *method;

    if (method == NULL)
        method = method_make();
    BIO *bio = method == NULL ? NULL : BIO_new(method);
    if (bio == NULL)
        return false;
    session->fd = fd;
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    SSL_set_read_ahead(session->ssl, 1);
    return true;
}
