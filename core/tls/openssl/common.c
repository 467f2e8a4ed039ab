/* What servers' and clients' contexts and sessions have in common. See private.h. */
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

/* The first error of OpenSSL in words, without the numbers and files around them: the later ones
 * only say which calls it has come through. */
const char *error_words(void)
{
    static char text[160];
    unsigned long code = ERR_peek_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);

    if (code != 0 && ERR_SYSTEM_ERROR(code))
        reason = strerror(ERR_GET_REASON(code));
    snprintf(text, sizeof(text), "%s", reason == NULL ? "OpenSSL gives no reason" : reason);
    ERR_clear_error();
    return text;
}

bool fail(char *why, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, size, format, args);
    va_end(args);
    return false;
}

void set_alpn(struct tls_context *context, const char *const *names)
{
    for (; names != NULL && *names != NULL; names++) {
        size_t size = strlen(*names);
        if (context->alpn_size + 1 + size > sizeof(context->alpn))
            return;
        context->alpn[context->alpn_size++] = (unsigned char)size;
        memcpy(context->alpn + context->alpn_size, *names, size);
        context->alpn_size += (unsigned)size;
    }
}

void trust_each(SSL_CTX *ctx)
{
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
}

struct tls_context *context_new(void)
{
    return calloc(1, sizeof(struct tls_context));
}

void context_release(struct tls_context *context)
{
    free(context->trusted);
    SSL_CTX_free(context->first);
    for (size_t i = 0; i < context->other_count; i++)
        SSL_CTX_free(context->others[i]);
    free(context);
}

struct tls_session *session_new(struct tls_context *context)
{
    struct tls_session *session = calloc(1, sizeof(*session));

    if (session == NULL)
        return NULL;
    session->ssl = SSL_new(context->first);
    if (session->ssl != NULL)
        return session;
    free(session);
    ERR_clear_error();
    return NULL;
}

void session_end(struct tls_session *session)
{
    if (session == NULL)
        return;
    SSL_free(session->ssl);
    free(session->name);
    free(session);
}
