/* What is wrong with the other side's certificate, in words for the operator of either side.
 * OpenSSL's own are for those who know TLS, and do not say whose certificate it is. */
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "private.h"

#define NAMES_SHOWN 4

static int session_index; /* of a session in its SSL */

/* ---- Certificates ---- */

/* Appends as much as fits. */
static void append(char *text, size_t room, const char *more, size_t size)
{
    size_t used = strlen(text);

    if (size > room - used - 1)
        size = room - used - 1;
    for (size_t i = 0; i < size; i++) /* names are the server's: no control characters */
        text[used + i] = more[i] < ' ' || more[i] >= 0x7f ? '?' : more[i];
    text[used + size] = '\0';
}

static void append_name(char *text, size_t room, const GENERAL_NAME *name)
{
    const ASN1_STRING *value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
    const unsigned char *data = ASN1_STRING_get0_data(value);
    char address[64] = "";

    if (name->type == GEN_DNS) {
        append(text, room, (const char *)data, (size_t)ASN1_STRING_length(value));
        return;
    }
    if (ASN1_STRING_length(value) == 4)
        snprintf(address, sizeof(address), "%u.%u.%u.%u", data[0], data[1], data[2], data[3]);
    else if (ASN1_STRING_length(value) == 16)
        for (size_t i = 0; i < 16; i += 2)
            snprintf(address + strlen(address), sizeof(address) - strlen(address), "%s%x",
                     i == 0 ? "" : ":", (unsigned)(data[i] << 8 | data[i + 1]));
    append(text, room, address, strlen(address));
}

void common_name(X509_NAME *subject, char *text, size_t room)
{
    char name[128];
    int size = X509_NAME_get_text_by_NID(subject, NID_commonName, name, sizeof(name));

    text[0] = '\0';
    if (size > 0)
        append(text, room, name, (size_t)size);
    else
        append(text, room, "(no name)", 9);
}

/* Names and addresses that the certificate is for. */
static void names_of(X509 *certificate, char *text, size_t room)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int shown = 0;

    text[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS && name->type != GEN_IPADD)
            continue;
        if (shown++ > 0)
            append(text, room, ", ", 2);
        if (shown > NAMES_SHOWN) {
            append(text, room, "others", 6);
            break;
        }
        append_name(text, room, name);
    }
    GENERAL_NAMES_free(names);
    if (shown == 0)
        append(text, room, "no name at all", 14);
}

static void moment(const ASN1_TIME *time, char *text, size_t room)
{
    struct tm when;

    if (ASN1_TIME_to_tm(time, &when) != 1 || strftime(text, room, "%Y-%m-%d %H:%M UTC", &when) == 0)
        snprintf(text, room, "an unknown time");
}

/* "its certificate", or that of an authority between it and the one that is trusted. A server was
 * called by its name; of a client, only the certificate tells. */
static void whose(const struct tls_session *session, int depth, const char *subject, char *text,
                  size_t room)
{
    if (depth == 0 && session->name == NULL)
        snprintf(text, room, "its certificate (\"%s\")", subject);
    else if (depth == 0)
        snprintf(text, room, "its certificate");
    else
        snprintf(text, room, "the certificate of its authority \"%s\"", subject);
}

/* Names may be long: what does not fit is left out. */
__attribute__((format(printf, 2, 3))) static void set_why(struct tls_session *session,
                                                          const char *form, ...)
{
    va_list list;

    va_start(list, form);
    vsnprintf(session->why, sizeof(session->why), form, list);
    va_end(list);
}

static void say(struct tls_session *session, X509_STORE_CTX *store)
{
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    int error = X509_STORE_CTX_get_error(store), depth = X509_STORE_CTX_get_error_depth(store);
    char subject[100], text[160], mine[160], own[160];

    common_name(X509_get_subject_name(X509_STORE_CTX_get0_cert(store)), subject, sizeof(subject));
    whose(session, 0, subject, own, sizeof(own));
    common_name(X509_get_subject_name(certificate), subject, sizeof(subject));
    whose(session, depth, subject, mine, sizeof(mine));
    switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        names_of(certificate, text, sizeof(text));
        set_why(session, "%s is not for \"%s\": it is for %s", mine, session->name, text);
        return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        moment(X509_get0_notAfter(certificate), text, sizeof(text));
        set_why(session, "%s has expired, at %s", mine, text);
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        moment(X509_get0_notBefore(certificate), text, sizeof(text));
        set_why(session, "%s is not valid before %s (is a clock wrong?)", mine, text);
        return;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        set_why(session,
                "%s is not trusted: it is signed by itself (\"%s\"), and is not among %s "
                "authorities",
                own, subject, session->trusted);
        return;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: /* it is its own issuer */
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        common_name(X509_get_issuer_name(certificate), text, sizeof(text));
        set_why(session, "%s is not trusted: \"%s\", who signed it, is not among %s authorities",
                own, text, session->trusted);
        return;
    default:
        set_why(session, "%s is not valid: %s", mine, X509_verify_cert_error_string(error));
    }
}

/* Called for each certificate of the chain, and for each thing that is wrong. */
static int look(int good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = ssl == NULL ? NULL : SSL_get_ex_data(ssl, session_index);

    if (!good && session != NULL && !session->judged) {
        session->judged = true;
        say(session, store);
    }
    return good;
}

void certificate_words_prepare(SSL_CTX *ctx, int mode)
{
    if (session_index == 0) { /* 0 is taken by OpenSSL itself */
        session_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    }
    SSL_CTX_set_verify(ctx, mode, look);
}

void certificate_words_of(struct tls_session *session)
{
    if (session_index != 0)
        SSL_set_ex_data(session->ssl, session_index, session);
}
