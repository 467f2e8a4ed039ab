/* Trying a configuration's registry in a child. See registry.h.
 *
 * The child reads the password and the keys, so the master does not. */
#include <stddef.h>

#include "process/trial.h"
#include "registry/etcd.h"
#include "registry/login.h"
#include "registry/plugin.h"
#include "registry/registry.h"

/* A trial_reader. */
static bool try_all(const void *subject, int64_t *found, struct error *error)
{
    static struct login login;
    static struct loop loop;
    const struct registry_settings *settings = subject;
    const struct registry_plugin *plugin = registry_plugin_load(error);
    const struct etcd_events none = {0};

    (void)found;
    if (plugin == NULL || !login_read(settings, &login, error) || !loop_init(&loop, error))
        return false;
    return etcd_open(&loop, plugin->http, &login.etcd, &none, NULL, error) != NULL;
}

bool registry_try(const struct generation *generation, struct conf_errors *errors)
{
    const struct settings *settings = generation->settings;
    struct error error;

    if (settings->registry == NULL || trial_run(try_all, settings->registry, "the registry's files",
                                                settings->load_timeout_ms, NULL, &error))
        return true;
    conf_error(errors, &settings->registry->place, "%s", error.text);
    return false;
}
