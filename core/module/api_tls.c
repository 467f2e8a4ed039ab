/* The functions of <pillion/module.h> for TLS to servers. See api.c. */
#include <errno.h>
#include <fcntl.h>
#include <pillion/module.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "module/api_loop.h"
#include "module/hook_error.h"
#include "rpc/callback.h"
#include "rpc/note.h"
#include "tls/pump.h"

struct pillion_tls {
    pillion_tls *next;
    pillion_instance *self;
    const struct tls_table *tls;
    struct tls_context *context;
    char *name; /* or NULL */
    uint64_t handshake_ns;
};

#define HANDSHAKE_MS 10000u /* as the directive has it */
#define NAME_SIZE    255u   /* of a host, and of a protocol (RFC 6066, RFC 7301) */

static pillion_tls *all; /* they last as long as the process */

static bool given(const pillion_file *file)
{
    return file->path != NULL || file->data != NULL;
}

static struct tls_pem pem_of(const pillion_file *file)
{
    const char *name = file->path == NULL && given(file) ? "memory" : file->path;

    return (struct tls_pem){.name = name, .data = file->data, .size = file->size};
}

/* An empty name would be anybody's: OpenSSL compares nothing with it. */
static bool is_name(const char *name)
{
    return name[0] != '\0' && strlen(name) <= NAME_SIZE;
}

/* 0, or as pillion_error. */
static int settings_check(const pillion_tls_settings *settings, const char *protocol,
                          pillion_error_text *error)
{
    if (given(&settings->certificate) && !given(&settings->key))
        return pillion_error_at(error, "ssl_certificate", "it needs ssl_certificate_key");
    if (given(&settings->key) && !given(&settings->certificate))
        return pillion_error_at(error, "ssl_certificate_key", "it needs ssl_certificate");
    if (given(&settings->trusted) && settings->unverified != 0)
        return pillion_error_at(error, "ssl_trusted_certificate",
                                "`ssl_verify off` looks at no certificate");
    if (settings->name != NULL && !is_name(settings->name))
        return pillion_error_at(error, "ssl_name", "it takes a name of 1 to %u bytes, not \"%s\"",
                                NAME_SIZE, settings->name);
    if (protocol != NULL && !is_name(protocol))
        return pillion_error_at(error, "ssl", "a protocol has 1 to %u bytes, not \"%s\"", NAME_SIZE,
                                protocol);
    return 0;
}

PILLION_EXPORT pillion_tls *pillion_tls_open(pillion_instance *self,
                                             const pillion_tls_settings *settings, size_t size,
                                             const char *protocol, pillion_error_text *error)
{
    pillion_error_text unasked;
    pillion_tls_settings own = {0};
    const char *const alpn[] = {protocol, NULL};
    struct error why;
    char text[512] = "out of memory";

    if (error == NULL)
        error = &unasked;
    if (!on_loop(__func__)) {
        pillion_error(error, "TLS may be opened on the worker's loop alone");
        return NULL;
    }
    if (settings != NULL)
        memcpy(&own, settings, size < sizeof(own) ? size : sizeof(own));
    if (settings_check(&own, protocol, error) != 0)
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
        .unverified = own.unverified != 0,
    };
    struct tls_context *context = tls->call(&client, text, sizeof(text));
    if (context == NULL) {
        pillion_error_at(error, "ssl", "%s", text);
        return NULL;
    }
    pillion_tls *made = must_zalloc(sizeof(*made));
    *made = (pillion_tls){
        .next = all,
        .self = self,
        .tls = tls,
        .context = context,
        .name = own.name == NULL ? NULL : must_strdup(own.name),
        .handshake_ns =
            (own.handshake_timeout_ms == 0 ? HANDSHAKE_MS : own.handshake_timeout_ms) * NS_PER_MS};
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
    if (tls == NULL || plain == NULL || told == NULL) {
        note_misuse(__func__, "without settings, a place for a descriptor or a function to call");
        return 0;
    }
    if (tls->name != NULL)
        name = tls->name;
    if (name == NULL || !is_name(name)) {
        note_misuse(__func__, "without a name of 1 to 255 bytes");
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
        .name = name,
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
