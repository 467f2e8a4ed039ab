/* Certificates that a test makes itself (openssl(1)). */
#ifndef PILLION_TESTS_CERTIFICATES_H
#define PILLION_TESTS_CERTIFICATES_H

#include "harness.h"

/* PREFIX/tls/NAME.pem and NAME.key: for `hosts`, as in "DNS:a.test,DNS:*.b.test", signed by itself,
 * or by the certificate `signer` that was made before. It lasts for so many `days`; -1: it has
 * expired, which takes a signer. */
static inline void tls_make_for(const struct server *server, const char *name, const char *hosts,
                                const char *signer, int days)
{
    static const char script[] =
        "mkdir -p \"$0/tls\"; cd \"$0/tls\"; name=$1 hosts=$2 signer=$3 days=$4\n"
        "request() { openssl req \"$@\" -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
        "-subj \"/CN=$name\" -keyout \"$name.key\"; }\n"
        "if [ -z \"$signer\" ]; then\n"
        "request -x509 -days $days -addext \"subjectAltName=$hosts\" -out \"$name.pem\"; exit; fi\n"
        "request -new -out \"$name.csr\"; echo \"subjectAltName=$hosts\" >\"$name.ext\"\n"
        "openssl x509 -req -in \"$name.csr\" -CA \"$signer.pem\" -CAkey \"$signer.key\" "
        "-CAcreateserial -days $days -extfile \"$name.ext\" -out \"$name.pem\"";
    struct run run = run_command((const char *const[]){"/bin/sh", "-ec", script, server->prefix,
                                                       name, hosts, signer == NULL ? "" : signer,
                                                       keep_printf("%d", days), NULL},
                                 NULL, PATIENCE_MS);

    expect_status(&run, 0);
}

static inline void tls_make(const struct server *server, const char *name, const char *hosts,
                            const char *signer)
{
    tls_make_for(server, name, hosts, signer, 90);
}

/* What else openssl(1) can, in the folder of the certificates. */
static inline void tls_shell(const struct server *server, const char *script)
{
    struct run run = run_command(
        (const char *const[]){"/bin/sh", "-ec",
                              keep_printf("cd '%s/tls'; %s", server->prefix, script), NULL},
        NULL, PATIENCE_MS);

    expect_status(&run, 0);
}

#define TLS_LOCK "openssl pkey -aes256 -passout pass:secret -out locked.key -in "

#endif
