/* Trying a configuration's certificates in a child. See gate.h.
 *
 * OpenSSL reads them, so the master does not: it never has a key in its memory. */
#include "gate/gate.h"
#include "gate/gate_ports.h"
#include "process/trial.h"

/* A trial_reader: finds when the first certificate expires. */
static bool try_ports(const void *subject, int64_t *expires, struct error *error)
{
    const struct generation *generation = subject;

    return gate_ports_try(&generation->hearing, expires, error);
}

static bool has_ssl(const struct generation *generation)
{
    bool found = false;

    for (size_t i = 0; i < generation->hearing.count; i++)
        found = found || generation->hearing.items[i].listen->ssl;
    return found;
}

bool gate_try(struct generation *generation, struct conf_errors *errors)
{
    struct error error;

    if (!has_ssl(generation) ||
        trial_run(try_ports, generation, "the certificates", generation->settings->load_timeout_ms,
                  &generation->certificate_expires, &error))
        return true;
    conf_error(errors, NULL, "%s", error.text);
    return false;
}
