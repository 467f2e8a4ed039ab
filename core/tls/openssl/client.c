/* Contexts and sessions of clients. See tls/tls.h and private.h. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

/* ---- Files of PEM, which may be in memory ---- */

static BIO *open_pem(const struct tls_pem *pem)
{
    if (pem->data != NULL)
        return BIO_new_mem_buf(pem->data, (int)pem->size);
    return BIO_new_file(pem->name, "re");
}

/* Reading has ended for want of another certificate, which is no error. */
static bool at_the_end(void)
{
    unsigned long code = ERR_peek_last_error();
    bool end = code == 0 ||
               (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE);

    if (end)
        ERR_clear_error();
    return end;
}

static bool trust(SSL_CTX *ctx, const struct tls_pem *pem, char *why, size_t size)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    BIO *bio = open_pem(pem);
    X509 *certificate;
    size_t count = 0;
    bool good = bio != NULL;

    while (good && (certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        good = X509_STORE_add_cert(store, certificate) == 1;
        X509_free(certificate);
        count++;
    }
    good = good && at_the_end();
    BIO_free(bio);
    trust_each(ctx);
    if (good && count > 0)
        return true;
    if (good)
        return fail(why, size,
                    "the certificates of authorities in %s cannot be used: there is none in it",
                    pem->name);
    return fail_authorities(why, size, pem->name);
}

/* The certificate, and behind it those that lead to an authority. */
static bool use_certificate(SSL_CTX *ctx, const struct tls_pem *pem)
{
    BIO *bio = open_pem(pem);
    X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL);
    bool good = certificate != NULL && SSL_CTX_use_certificate(ctx, certificate) == 1;

    X509_free(certificate);
    while (good && (certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        good = SSL_CTX_add0_chain_cert(ctx, certificate) == 1;
        if (!good)
            X509_free(certificate);
    }
    good = good && at_the_end();
    BIO_free(bio);
    return good;
}

static bool use_key(SSL_CTX *ctx, const struct tls_pem *pem)
{
    BIO *bio = open_pem(pem);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    bool good = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1;

    EVP_PKEY_free(key);
    BIO_free(bio);
    return good;
}

static bool identify(SSL_CTX *ctx, const struct tls_client *settings, char *why, size_t size)
{
    const char *certificate = settings->certificate.name;

    ERR_clear_error();
    if (certificate == NULL)
        return true;
    if (!use_certificate(ctx, &settings->certificate))
        return fail_certificate(why, size, certificate);
    X509 *first = SSL_CTX_get0_certificate(ctx);
    return (use_key(ctx, &settings->key) && SSL_CTX_check_private_key(ctx) == 1) ||
           fail_key(why, size, settings->key.name, certificate, first);
}

/* ---- Contexts ---- */

static bool set_trust(struct tls_context *context, const struct tls_client *settings, char *why,
                      size_t size)
{
    const char *file = settings->authorities.name;

    ERR_clear_error();
    if (settings->unverified)
        return true;
    certificate_words_prepare(context->first, SSL_VERIFY_PEER);
    context->trusted = strdup(file == NULL ? "the system's" : file);
    if (file != NULL)
        return trust(context->first, &settings->authorities, why, size);
    return SSL_CTX_set_default_verify_paths(context->first) == 1 ||
           fail(why, size, "the system's certificates of authorities cannot be used: %s",
                error_words());
}

struct tls_context *client_context(const struct tls_client *settings, char *why, size_t size)
{
    struct tls_context *context = context_new();

    if (context == NULL || (context->first = SSL_CTX_new(TLS_client_method())) == NULL) {
        fail(why, size, "OpenSSL cannot make a context: %s", error_words());
        free(context);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context->first, TLS1_2_VERSION);
    SSL_CTX_set_options(context->first, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context->first, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                         SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                         SSL_MODE_RELEASE_BUFFERS);
    /* A record that is not data ends a read, or a server that sends nothing else would keep the
     * others waiting. */
    SSL_CTX_clear_mode(context->first, SSL_MODE_AUTO_RETRY);
    set_alpn(context, settings->alpn);
    context->unverified = settings->unverified;
    if (context->alpn_size > 0)
        SSL_CTX_set_alpn_protos(context->first, context->alpn, context->alpn_size);
    if (set_trust(context, settings, why, size) && identify(context->first, settings, why, size))
        return context;
    context_release(context);
    return NULL;
}

/* ---- Sessions ---- */

static bool is_address(const char *name)
{
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);

    ASN1_OCTET_STRING_free(address);
    ERR_clear_error();
    return address != NULL;
}

/* The name as it is verified and asked for: without the dot of DNS's root at its end (RFC 6066
 * section 3). NULL without memory. */
static char *host_of(const char *name)
{
    size_t size = strlen(name);

    return strndup(name, size > 1 && name[size - 1] == '.' ? size - 1 : size);
}

struct tls_session *client_session(struct tls_context *context, int fd, const char *name)
{
    struct tls_session *session = session_new(context);

    if (session == NULL)
        return NULL;
    SSL_set_connect_state(session->ssl);
    /* Names are alternative ones alone, and "*" is a whole label (RFC 9525 sections 2 and 6.3). */
    SSL_set_hostflags(session->ssl,
                      X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    session->name = host_of(name);
    session->trusted = context->trusted;
    certificate_words_of(session);
    bool good = session->name != NULL && SSL_set_fd(session->ssl, fd) == 1;
    if (good && is_address(session->name))
        good = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session->ssl), session->name) == 1;
    else if (good)
        good = SSL_set_tlsext_host_name(session->ssl, session->name) == 1 &&
               SSL_set1_host(session->ssl, session->name) == 1;
    if (good)
        return session;
    session_end(session); /* it would be a session with anybody */
    return NULL;
}
