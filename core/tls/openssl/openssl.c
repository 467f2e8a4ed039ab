/* TLS by OpenSSL: servers, and the table of tls.so. See tls/tls.h.
 *
 * It uses nothing of the core, and the core nothing of it but the table at the end. */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "private.h"

#define TICKET_NAME 16u
#define TICKET_AES  32u

/* ---- Certificates and names ---- */

static bool use_pair(SSL_CTX *ctx, const struct tls_pair *pair, char *why, size_t size)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ctx, pair->certificate) != 1)
        return fail_certificate(why, size, pair->certificate);
    X509 *first = SSL_CTX_get0_certificate(ctx);
    return (SSL_CTX_use_PrivateKey_file(ctx, pair->key, SSL_FILETYPE_PEM) == 1 &&
            SSL_CTX_check_private_key(ctx) == 1) ||
           fail_key(why, size, pair->key, pair->certificate, first);
}

static bool answers_for(SSL_CTX *ctx, const char *name)
{
    X509 *certificate = SSL_CTX_get0_certificate(ctx);
    return certificate != NULL &&
           X509_check_host(certificate, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

static const ASN1_OCTET_STRING *names_of(SSL_CTX *ctx)
{
    const X509 *certificate = SSL_CTX_get0_certificate(ctx);
    int at = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
    return at < 0 ? NULL : X509_EXTENSION_get_data(X509_get_ext(certificate, at));
}

/* True when both are for the same names with keys of two types, as RSA and ECDSA are: OpenSSL shows
 * a client the one that it can use, if one context has both. */
static bool are_twins(SSL_CTX *one, SSL_CTX *other)
{
    const ASN1_OCTET_STRING *a = names_of(one), *b = names_of(other);
    const EVP_PKEY *key = SSL_CTX_get0_privatekey(other);

    return a != NULL && b != NULL && ASN1_OCTET_STRING_cmp(a, b) == 0 &&
           !EVP_PKEY_is_a(SSL_CTX_get0_privatekey(one), EVP_PKEY_get0_type_name(key));
}

/* The earlier context that `ctx` is a twin of, or NULL. */
static SSL_CTX *twin_of(const struct tls_context *context, SSL_CTX *ctx)
{
    if (context->first == NULL || are_twins(context->first, ctx))
        return context->first;
    for (size_t i = 0; i < context->other_count; i++) {
        if (are_twins(context->others[i], ctx))
            return context->others[i];
    }
    return NULL;
}

/* The certificate for the name that the client asks for; the first one when there is none. */
static int choose_certificate(SSL *ssl, int *alert, void *argument)
{
    const struct tls_context *context = argument;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    if (name == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    if (answers_for(context->first, name))
        return SSL_TLSEXT_ERR_OK;
    for (size_t i = 0; i < context->other_count; i++) {
        if (answers_for(context->others[i], name)) {
            SSL_set_SSL_CTX(ssl, context->others[i]);
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* ---- ALPN (RFC 7301) ---- */

/* A client that offers only protocols that are not spoken here is refused (section 3.2). */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *size,
                       const unsigned char *in, unsigned in_size, void *argument)
{
    const struct tls_context *context = argument;
    unsigned char *chosen;

    (void)ssl;
    if (SSL_select_next_proto(&chosen, size, context->alpn, context->alpn_size, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- Session tickets (RFC 5077 section 4) ---- */

static int key_index; /* of a context in its SSL_CTX */

static bool use_ticket_key(const uint8_t *key, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                           const unsigned char *iv, bool encrypts)
{
    static EVP_CIPHER *aes;
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY,
                                (void *)(uintptr_t)(key + TICKET_NAME + TICKET_AES),
                                TLS_TICKET_KEY - TICKET_NAME - TICKET_AES),
        OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof(digest) - 1),
        OSSL_PARAM_END,
    };

    if (aes == NULL) /* finding it takes OpenSSL longer than using it */
        aes = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    return EVP_CipherInit_ex(cipher, aes, NULL, key + TICKET_NAME, iv, encrypts) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* 1: goes on; 2: and a new ticket is made; 0: a full handshake; -1: an error. */
static int ticket_key(SSL *ssl, unsigned char name[TICKET_NAME],
                      unsigned char iv[EVP_MAX_IV_LENGTH], EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                      int encrypts)
{
    const struct tls_context *context = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), key_index);
    uint8_t keys[2][TLS_TICKET_KEY];
    int result = 0;

    if (!context->ticket_keys(context->ticket_context, keys))
        return encrypts ? -1 : 0;
    if (encrypts) {
        memcpy(name, keys[0], TICKET_NAME);
        result = RAND_bytes(iv, 16) == 1 && use_ticket_key(keys[0], cipher, mac, iv, true) ? 1 : -1;
    } else {
        for (int i = 0; i < 2 && result == 0; i++) {
            if (memcmp(name, keys[i], TICKET_NAME) == 0)
                result = use_ticket_key(keys[i], cipher, mac, iv, false) ? 1 + i : -1;
        }
    }
    OPENSSL_cleanse(keys, sizeof(keys));
    return result;
}

/* ---- Contexts ---- */

static int version_number(enum tls_version version)
{
    return version == TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

static bool set_verify(SSL_CTX *ctx, const struct tls_server *settings, char *why, size_t size)
{
    if (settings->verify == TLS_VERIFY_OFF)
        return true;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(settings->authorities);
    if (names == NULL || SSL_CTX_load_verify_file(ctx, settings->authorities) != 1)
        return fail_authorities(why, size, settings->authorities);
    SSL_CTX_set_client_CA_list(ctx, names);
    trust_each(ctx);
    certificate_words_prepare(
        ctx, SSL_VERIFY_PEER |
                 (settings->verify == TLS_VERIFY_ON ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0));
    return true;
}

/* Adds what the file holds. */
static bool digest_file(EVP_MD_CTX *digest, const char *path)
{
    FILE *file = fopen(path, "re");
    bool good = file != NULL;
    char chunk[4096];
    size_t got;

    while (good && (got = fread(chunk, 1, sizeof(chunk), file)) > 0)
        good = EVP_DigestUpdate(digest, chunk, got) == 1;
    good = good && ferror(file) == 0;
    if (file != NULL)
        fclose(file);
    return good;
}

/* A session goes on without its client's certificate being asked for or verified again, and all
 * addresses take each other's tickets. So a session has the name of what its client was verified
 * by, and goes on only where clients are verified in the same way
 * (SSL_CTX_set_session_id_context(3)). */
static bool name_sessions(SSL_CTX *ctx, const struct tls_server *settings, char *why, size_t size)
{
    const unsigned char verify = (unsigned char)settings->verify;
    unsigned char name[EVP_MAX_MD_SIZE];
    unsigned length = 0;

    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool good =
        digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
        EVP_DigestUpdate(digest, &verify, 1) == 1 &&
        (settings->verify == TLS_VERIFY_OFF || digest_file(digest, settings->authorities)) &&
        EVP_DigestFinal_ex(digest, name, &length) == 1 &&
        SSL_CTX_set_session_id_context(ctx, name, length) == 1;
    EVP_MD_CTX_free(digest);
    return good || fail(why, size, "OpenSSL cannot name the sessions: %s", error_words());
}

static void set_sessions(SSL_CTX *ctx, struct tls_context *context,
                         const struct tls_server *settings)
{
    /* A ticket is all that is kept of a session: nothing that a process would have to remember. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (settings->ticket_keys == NULL) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
        return;
    }
    SSL_CTX_set_num_tickets(ctx, 1); /* and the next one when it is used */
    SSL_CTX_set_timeout(ctx, (long)settings->session_s);
    SSL_CTX_set_ex_data(ctx, key_index, context);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key);
}

static SSL_CTX *server_ctx(struct tls_context *context, const struct tls_server *settings,
                           const struct tls_pair *pair, char *why, size_t size)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (ctx == NULL) {
        fail(why, size, "OpenSSL cannot make a context: %s", error_words());
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ctx, version_number(settings->lowest));
    SSL_CTX_set_max_proto_version(ctx, version_number(settings->highest));
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    /* The file has the certificates that lead to the authority; otherwise they would be looked for,
     * and verified, in each handshake. */
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    /* A record that is not data ends a read, or a client that sends nothing else (updates of keys,
     * say) would keep the others waiting. */
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    SSL_CTX_set_tlsext_servername_callback(ctx, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(ctx, context);
    if (context->alpn_size > 0)
        SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, context);
    set_sessions(ctx, context, settings);
    bool good = use_pair(ctx, pair, why, size) && set_verify(ctx, settings, why, size) &&
                name_sessions(ctx, settings, why, size);
    if (good && settings->ciphers != NULL && SSL_CTX_set_cipher_list(ctx, settings->ciphers) != 1)
        good = fail(why, size, "\"%s\" names no cipher that OpenSSL knows: %s", settings->ciphers,
                    error_words());
    if (good)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static bool add_pair(struct tls_context *context, const struct tls_server *settings,
                     const struct tls_pair *pair, char *why, size_t size)
{
    SSL_CTX *ctx = server_ctx(context, settings, pair, why, size);

    if (ctx == NULL)
        return false;
    SSL_CTX *twin = twin_of(context, ctx);
    if (twin != NULL) {
        SSL_CTX_free(ctx);
        return use_pair(twin, pair, why, size);
    }
    if (context->first == NULL)
        context->first = ctx;
    else
        context->others[context->other_count++] = ctx;
    return true;
}

static struct tls_context *serve(const struct tls_server *settings, char *why, size_t size)
{
    struct tls_context *context = context_new();

    if (context == NULL)
        return NULL;
    if (key_index == 0) /* 0 is taken by OpenSSL itself */
        key_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    set_alpn(context, settings->alpn);
    if (settings->verify != TLS_VERIFY_OFF)
        context->trusted = strdup(settings->authorities);
    context->ticket_keys = settings->ticket_keys;
    context->ticket_context = settings->ticket_context;
    for (size_t i = 0; i < settings->pair_count; i++) {
        if (!add_pair(context, settings, &settings->pairs[i], why, size)) {
            context_release(context);
            return NULL;
        }
    }
    return context;
}

/* `leaf`: the certificate that this one leads to an authority; or itself. */
static void tell_expiry(X509 *certificate, X509 *leaf, tls_expiry each, void *data)
{
    char name[128], own[128], whose[300];
    struct tm when;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &when) != 1)
        return;
    common_name(X509_get_subject_name(certificate), name, sizeof(name));
    common_name(X509_get_subject_name(leaf), own, sizeof(own));
    if (certificate == leaf)
        snprintf(whose, sizeof(whose), "\"%s\"", name);
    else
        snprintf(whose, sizeof(whose), "\"%s\" (behind \"%s\")", name, own);
    each(data, whose, timegm(&when));
}

static void expiries_of(SSL_CTX *ctx, tls_expiry each, void *data)
{
    STACK_OF(X509) *chain = NULL;

    for (long more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST); more == 1;
         more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT)) {
        X509 *leaf = SSL_CTX_get0_certificate(ctx);
        SSL_CTX_get0_chain_certs(ctx, &chain);
        tell_expiry(leaf, leaf, each, data);
        for (int i = 0; i < sk_X509_num(chain); i++)
            tell_expiry(sk_X509_value(chain, i), leaf, each, data);
    }
}

static void expiries(const struct tls_context *context, tls_expiry each, void *data)
{
    expiries_of(context->first, each, data);
    for (size_t i = 0; i < context->other_count; i++)
        expiries_of(context->others[i], each, data);
}

/* ---- Sessions ---- */

static struct tls_session *session_accept(struct tls_context *context, int fd)
{
    struct tls_session *session = session_new(context);

    if (session != NULL && socket_use(session, fd)) {
        session->trusted = context->trusted;
        certificate_words_of(session);
        SSL_set_accept_state(session->ssl);
        return session;
    }
    session_end(session);
    ERR_clear_error();
    return NULL;
}

static enum tls_cause cause_of(unsigned long code, int number)
{
    if (code == 0)
        return number == 0 ? TLS_CAUSE_UNKNOWN : TLS_CAUSE_CONNECTION;
    if (ERR_SYSTEM_ERROR(code))
        return TLS_CAUSE_CONNECTION;
    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        return TLS_CAUSE_UNKNOWN;
    switch (ERR_GET_REASON(code)) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return TLS_CAUSE_HTTP;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return TLS_CAUSE_CERTIFICATE;
    case ERR_R_MALLOC_FAILURE:
    case ERR_R_INTERNAL_ERROR:
        return TLS_CAUSE_UNKNOWN;
    default:
        return TLS_CAUSE_PROTOCOL;
    }
}

/* What a client's handshake fails of, as far as an operator can do something about it. */
static const char *words_of(unsigned long code)
{
    switch (ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "it has shown no certificate, which ssl_verify_client asks for";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        return "it does not take the server's certificate (ssl_certificate)";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return "it says that the server's certificate has expired";
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return "it speaks no version of ssl_protocols";
    case SSL_R_NO_SHARED_CIPHER:
        return "it has no cipher in common with ssl_ciphers, or none for the key of the "
               "certificate";
    default:
        return NULL;
    }
}

/* Of a handshake that has failed for a certificate, the verification tells more than the alert. */
static enum tls_status broken(struct tls_session *session, int number)
{
    unsigned long code = ERR_peek_error();

    session->cause = session->judged ? TLS_CAUSE_CERTIFICATE : cause_of(code, number);
    if (session->name != NULL) {
        client_words_broken(session, number);
        return TLS_BROKEN;
    }
    const char *words = code == 0 && number != 0 ? strerror(number) : words_of(code);
    if (!session->judged)
        snprintf(session->why, sizeof(session->why), "%s", words != NULL ? words : error_words());
    ERR_clear_error();
    return TLS_BROKEN;
}

static enum tls_status status_of(struct tls_session *session, int result)
{
    int number = errno;

    if (result > 0)
        return TLS_DONE;
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_NONE:
        return TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return TLS_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_END;
    case SSL_ERROR_SYSCALL:
        if (number == 0 && ERR_peek_error() == 0)
            return TLS_END;
        return broken(session, number);
    default:
        return broken(session, 0);
    }
}

static void ask(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error(); /* what an earlier call has left would be taken for this one's */
    errno = 0;
}

static enum tls_status handshake(struct tls_session *session)
{
    ask();
    return status_of(session, SSL_do_handshake(session->ssl));
}

static enum tls_status session_read(struct tls_session *session, char *to, size_t room, size_t *got)
{
    ask();
    *got = 0;
    return status_of(session, SSL_read_ex(session->ssl, to, room, got));
}

static bool has_more(struct tls_session *session)
{
    bool dry = session->dry;

    if (SSL_has_pending(session->ssl))
        return true;
    session->dry = false;
    return !dry;
}

static enum tls_status session_write(struct tls_session *session, const char *from, size_t size,
                                     size_t *put)
{
    ask();
    *put = 0;
    return status_of(session, SSL_write_ex(session->ssl, from, size, put));
}

static enum tls_status finish(struct tls_session *session)
{
    ask();
    int result = SSL_shutdown(session->ssl);
    return result >= 0 ? TLS_DONE : status_of(session, result);
}

static void copy_name(char *to, size_t room, const char *from, size_t size)
{
    if (size >= room) /* a part of a name is another name */
        size = 0;
    memcpy(to, from == NULL ? "" : from, from == NULL ? 0 : size);
    to[from == NULL ? 0 : size] = '\0';
}

static void agreed(const struct tls_session *session, struct tls_agreed *told)
{
    SSL *ssl = session->ssl;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    const unsigned char *alpn;
    unsigned alpn_size;

    memset(told, 0, sizeof(*told));
    copy_name(told->name, sizeof(told->name), name, name == NULL ? 0 : strlen(name));
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_size);
    copy_name(told->alpn, sizeof(told->alpn), (const char *)alpn, alpn_size);
    told->certified = certificate != NULL && SSL_get_verify_result(ssl) == X509_V_OK;
    if (told->certified) {
        char common[sizeof(told->common_name)];
        int size = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                             common, sizeof(common));
        /* A name with a NUL in it may be meant to look like another one. */
        if (size > 0 && strlen(common) == (size_t)size)
            copy_name(told->common_name, sizeof(told->common_name), common, (size_t)size);
    }
    told->version = SSL_get_version(ssl);
    told->cipher = SSL_get_cipher_name(ssl);
    told->resumed = SSL_session_reused(ssl) == 1;
}

static const char *why_broken(const struct tls_session *session)
{
    return session->why;
}

static enum tls_cause cause_broken(const struct tls_session *session)
{
    return session->cause;
}

/* The name is TLS_TABLE_SYMBOL's. */
extern const struct tls_table pillion_tls_table;
__attribute__((visibility("default"))) const struct tls_table pillion_tls_table = {
    .version = TLS_TABLE_VERSION,
    .library = OPENSSL_VERSION_TEXT,
    .serve = serve,
    .call = client_context,
    .release = context_release,
    .expiries = expiries,
    .accept = session_accept,
    .connect = client_session,
    .end = session_end,
    .handshake = handshake,
    .read = session_read,
    .has_more = has_more,
    .write = session_write,
    .finish = finish,
    .agreed = agreed,
    .why = why_broken,
    .cause = cause_broken,
};
