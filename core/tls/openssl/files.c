/* Why a file of PEM cannot be used, in words: OpenSSL's own ("no start line", "interrupted or
 * cancelled") do not say what to do. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "private.h"

static bool asked; /* OpenSSL wanted a passphrase */

/* Keys with a passphrase would have the server wait for a person. */
int no_passphrase(char *to, int room, int writing, void *context)
{
    (void)to, (void)room, (void)writing, (void)context;
    asked = true;
    return -1;
}

/* Nothing between "-----BEGIN" and "-----END" is what was wanted. */
static bool is_none(unsigned long code)
{
    return (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) ||
           (ERR_GET_LIB(code) == ERR_LIB_OSSL_DECODER && ERR_GET_REASON(code) == ERR_R_UNSUPPORTED);
}

/* A key of another type than the certificate's waits for a certificate of its own. */
static bool is_anothers(unsigned long code)
{
    int reason = ERR_GET_REASON(code);

    return (ERR_GET_LIB(code) == ERR_LIB_X509 &&
            (reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH)) ||
           (ERR_GET_LIB(code) == ERR_LIB_SSL && reason == SSL_R_NO_CERTIFICATE_ASSIGNED);
}

bool fail_certificate(char *why, size_t size, const char *path)
{
    bool none = is_none(ERR_peek_error());
    const char *words = error_words();

    return fail(why, size, "the certificate %s cannot be used: %s", path,
                none ? "it holds no certificate in PEM" : words);
}

bool fail_authorities(char *why, size_t size, const char *path)
{
    bool none = is_none(ERR_peek_error());
    const char *words = error_words();

    return fail(why, size, "the certificates of authorities in %s cannot be used: %s", path,
                none ? "there is none in it" : words);
}

bool fail_key(char *why, size_t size, const char *path, const char *certificate, X509 *first)
{
    unsigned long code = ERR_peek_error();
    bool locked = asked;
    char name[128];

    asked = false;
    if (is_anothers(code)) {
        common_name(X509_get_subject_name(first), name, sizeof(name));
        ERR_clear_error();
        return fail(why, size,
                    "the key %s does not belong to the certificate %s, whose first one is that of "
                    "\"%s\"",
                    path, certificate, name);
    }
    const char *words = error_words();
    if (locked)
        words = "it has a passphrase, and nobody is there to type it: write it without "
                "(openssl pkey -in KEY -out NEW)";
    else if (is_none(code))
        words = "it holds no key in PEM that OpenSSL can read";
    return fail(why, size, "the key %s cannot be used: %s", path, words);
}
