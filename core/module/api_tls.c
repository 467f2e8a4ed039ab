/* The functions of <pillion/module.h> for TLS to servers. See api.c. */
#include <errno.h>
#include <fcntl.h>
#include <pillion/module.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "module/api_loop.h"
#include "rpc/callback.h"
#include "rpc/note.h"
#include "tls/pump.h"

struct pillion_tls {
    pillion_tls *next;
    pillion_instance *self;
    const struct tls_table *tls;
    struct tls_context *context;
    const char *name; /* or NULL */
    uint64_t handshake_ns;
};

static pillion_tls *all; /* they last as long as the process */

static struct tls_pem pem_of(const pillion_file *file)
{
    return (struct tls_pem){.name = file->path, .data = file->data, .size = file->size};
}

/* 0, or as pillion_error. */
static int settings_check(const pillion_tls_settings *settings, pillion_error_text *error)
{
    if (settings->certificate.path != NULL && settings->key.path == NULL)
        return pillion_error_at(error, "ssl_certificate", "it needs ssl_certificate_key");
    if (settings->key.path != NULL && settings->certificate.path == NULL)
        return pillion_error_at(error, "ssl_certificate_key", "it needs ssl_certificate");
    if (settings->trusted.path != NULL && !settings->verify)
        return pillion_error_at(error, "ssl_trusted_certificate",
                                "`ssl_verify off` looks at no certificate");
    if (settings->name != NULL && settings->name[0] == '\0')
        return pillion_error_at(error, "ssl_name", "it takes a name, not \"\"");
    return 0;
}

PILLION_EXPORT pillion_tls *pillion_tls_open(pillion_instance *self,
                                             const pillion_tls_settings *settings, size_t size,
                                             const char *protocol, pillion_error_text *error)
{
    pillion_tls_settings own = {0};
    const char *const alpn[] = {protocol, NULL};
    struct error why;
    char text[512] = "out of memory";

    if (!on_loop(__func__))
        return NULL;
    memcpy(&own, settings, size < sizeof(own) ? size : sizeof(own));
    if (settings_check(&own, error) != 0)
        return NULL;
    const struct tls_table *tls = tls_load(&why);
    if (tls == NULL) {
        pillion_error_at(error, "ssl", "%s", why.text);
        return NULL;
    }
    const struct tls_client client = {
        .authorities = pem_of(&own.trusted),
        .alpn = alpn,
        .certificate = pem_of(&own.certificate),
        .key = pem_of(&own.key),
        .unverified = !own.verify,
    };
    struct tls_context *context = tls->call(&client, text, sizeof(text));
    if (context == NULL) {
        pillion_error_at(error, "ssl", "%s", text);
        return NULL;
    }
    pillion_tls *made = must_zalloc(sizeof(*made));
    *made = (pillion_tls){.next = all,
                          .self = self,
                          .tls = tls,
                          .context = context,
                          .name = own.name,
                          .handshake_ns = own.handshake_timeout_ms * NS_PER_MS};
    return all = made;
}

PILLION_EXPORT pillion_handle
pillion_tls_connect(pillion_tls *tls, int fd, const char *name, int *plain,
                    void (*told)(pillion_instance *self, const char *why, void *data), void *data)
{
    struct loop *loop = callbacks_loop();

    errno = EINVAL;
    if (!on_loop(__func__) || loop == NULL)
        return 0;
    if (tls == NULL || told == NULL || (name == NULL && tls->name == NULL)) {
        note_misuse(__func__, "without settings, a name or a function to call");
        return 0;
    }
    if (fd < 0 || loop_owns(loop, fd)) {
        errno = EBADF;
        return 0;
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return 0;
    callbacks_closing(fd); /* the module watches it no more */
    struct pump_plan plan = {
        .loop = loop,
        .tls = tls->tls,
        .context = tls->context,
        .name = tls->name != NULL ? tls->name : name,
        .handshake_ns = tls->handshake_ns,
        .told = callback_tell,
        .over = callback_cancel,
        .told_context = callback_told(tls->self, told, data),
    };
    if (pump_start(&plan, fd, plain))
        return plan.told_context;
    int error = errno;
    callback_cancel(plan.told_context);
    errno = error;
    return 0;
}
