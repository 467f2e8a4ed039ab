/* Why a client's session has failed, in words for the operator of either side. OpenSSL's own are
 * for those who know TLS. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "private.h"

static const struct {
    int reason;
    const char *words;
} reasons[] = {
    {SSL_R_WRONG_VERSION_NUMBER, "it does not speak TLS"},
    {SSL_R_PACKET_LENGTH_TOO_LONG, "it does not speak TLS"},
    {SSL_R_RECORD_LENGTH_MISMATCH, "it does not speak TLS"},
    {SSL_R_HTTP_REQUEST, "it does not speak TLS"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "it speaks no version of TLS that is spoken here (1.2, 1.3)"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION,
     "it speaks no version of TLS that is spoken here (1.2, 1.3)"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE,
     "it refuses the handshake: no version or cipher is common to both, or it wants a certificate "
     "of the client's"},
    {SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL,
     "it speaks none of the protocols that were offered (ALPN)"},
    {SSL_R_TLSV1_UNRECOGNIZED_NAME, "it does not know the name by which it was called (SNI)"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED,
     "it wants a certificate of the client's, and has got none"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "it does not trust the client's certificate"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "it takes the client's certificate for a bad one"},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, "it takes no such certificate of a client"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, "it says that the client's certificate was revoked"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "it says that the client's certificate has expired"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "it does not know the client's certificate"},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, "it gives the client's certificate no access"},
};

void client_words_broken(struct tls_session *session, int number)
{
    unsigned long code = ERR_peek_error();
    const char *words = NULL;

    if (session->judged) { /* which is what has ended it */
        ERR_clear_error();
        return;
    }
    for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons) && ERR_GET_LIB(code) == ERR_LIB_SSL;
         i++) {
        if (ERR_GET_REASON(code) == reasons[i].reason)
            words = reasons[i].words;
    }
    if (words == NULL && code == 0 && number != 0)
        words = strerror(number);
    snprintf(session->why, sizeof(session->why), "%s", words != NULL ? words : error_words());
    ERR_clear_error();
}
