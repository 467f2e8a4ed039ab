/* From directives to params of libpq. See secure.h. */
#include "secure.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where Debian and its kin have the certificates of all authorities in a file; others have a link
 * there. */
#define SYSTEM "/etc/ssl/certs/ca-certificates.crt"

#define NOWHERE "/dev/null/none" /* no file is there, ever (ENOTDIR) */

void param_add(struct params *params, const char *name, const char *value)
{
    if (value == NULL || params->count == PARAMS_MAX)
        return;
    params->names[params->count] = name;
    params->values[params->count] = value;
    params->count++;
}

/* NULL when the connection string does not give it. */
static const char *option_of(const PQconninfoOption *options, const char *name)
{
    while (options->keyword != NULL && strcmp(options->keyword, name) != 0)
        options++;
    return options->val == NULL || options->val[0] == '\0' ? NULL : options->val;
}

static int options_check(const struct settings *settings, const PQconninfoOption *options,
                         pillion_error_text *error)
{
    static const char *const own[] = {"sslmode", "sslrootcert", "sslcert", "sslkey"};
    const char *host = option_of(options, "host");

    for (size_t i = 0; settings->ssl && i < sizeof(own) / sizeof(*own); i++) {
        if (option_of(options, own[i]) != NULL)
            return pillion_error_at(error, "conninfo", "%s is what `ssl on` says already", own[i]);
    }
    if (settings->ssl_name != NULL && option_of(options, "hostaddr") == NULL)
        return pillion_error_at(error, "ssl_name",
                                "the address has to be `hostaddr` in `conninfo`: the host's name "
                                "is this one");
    if (settings->ssl && host != NULL && host[0] == '/')
        return pillion_error_at(error, "ssl", "PostgreSQL has no TLS on the Unix socket in %s",
                                host);
    return 0;
}

int secure_check(const struct settings *settings, pillion_error_text *error)
{
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(settings->conninfo, &why);

    if (options == NULL) {
        pillion_error(error, "conninfo: %s", why == NULL ? "out of memory" : why);
        PQfreemem(why);
        return -1;
    }
    int status = options_check(settings, options, error);
    PQconninfoFree(options);
    if (status != 0)
        return status;
    if ((settings->ssl_certificate.path == NULL) != (settings->ssl_key.path == NULL))
        return pillion_error_at(
            error, settings->ssl_key.path == NULL ? "ssl_certificate" : "ssl_certificate_key",
            "it needs %s",
            settings->ssl_key.path == NULL ? "ssl_certificate_key" : "ssl_certificate");
    if (settings->ssl && settings->ssl_verify && settings->ssl_trusted.path == NULL &&
        access(SYSTEM, R_OK) != 0)
        return pillion_error_at(error, "ssl",
                                "it needs ssl_trusted_certificate: the system has no " SYSTEM);
    return 0;
}

/* True when libpq would look for a certificate in the home of the server's starter, where the
 * worker may not look: it gives up TLS then (libpq, "SSL Client Certificates"). */
static bool home_is_closed(void)
{
    const char *home = getenv("HOME");
    char path[4096];
    struct stat status;

    return home != NULL &&
           snprintf(path, sizeof(path), "%s/.postgresql/postgresql.crt", home) <
               (int)sizeof(path) &&
           stat(path, &status) < 0 && errno == EACCES;
}

static bool is_given(const struct settings *settings, const char *name)
{
    PQconninfoOption *options = PQconninfoParse(settings->conninfo, NULL);
    bool given = options != NULL && option_of(options, name) != NULL;

    PQconninfoFree(options);
    return given;
}

void secure_add(const struct settings *settings, struct params *params)
{
    const char *trusted = settings->ssl_trusted.path;

    if (!settings->ssl) {
        if (home_is_closed() && !is_given(settings, "sslcert"))
            param_add(params, "sslcert", NOWHERE);
        return;
    }
    param_add(params, "sslmode", settings->ssl_verify ? "verify-full" : "require");
    if (settings->ssl_verify)
        param_add(params, "sslrootcert", trusted == NULL ? SYSTEM : trusted);
    param_add(params, "sslcert",
              settings->ssl_certificate.path == NULL ? NOWHERE : settings->ssl_certificate.path);
    param_add(params, "sslkey", settings->ssl_key.path);
    param_add(params, "host", settings->ssl_name);
}
