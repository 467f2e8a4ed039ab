/* Trying a configuration's registry in a child. See registry.h.
 *
 * The child reads the password and the keys, so the master does not. */
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "conf/settings_table.h"
#include "process/trial.h"
#include "registry/etcd.h"
#include "registry/login.h"
#include "registry/plugin.h"
#include "registry/registry.h"
#include "tls/tls.h"

/* Whether certificates and key are that, and belong together: who registers with others is gone
 * from the registry after `ttl`. libcurl only says so when it connects. Where there is no tls.so,
 * nobody looks. */
static bool try_tls(const struct registry_settings *settings, struct error *error)
{
    const struct tls_client client = {.authorities = {.name = settings->ca},
                                      .certificate = {.name = settings->cert},
                                      .key = {.name = settings->key}};
    char path[PATH_MAX], why[sizeof(error->text)];

    if ((settings->ca == NULL && settings->cert == NULL) || !tls_find(path, sizeof(path)))
        return true;
    const struct tls_table *table = tls_load(error);
    return table != NULL &&
           (table->call(&client, why, sizeof(why)) != NULL || error_set(error, "%s", why));
}

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
    return etcd_open(&loop, plugin->http, &login.etcd, &none, NULL, error) != NULL &&
           try_tls(settings, error);
}

/* The directive that names the file which the reason names; that of the longest path, since one may
 * begin with another. */
static struct conf_place place_of(const struct registry_settings *settings, const char *reason)
{
    const struct {
        const char *directive, *path;
    } files[] = {{"user", settings->password_file},
                 {"ca", settings->ca},
                 {"cert", settings->cert},
                 {"key", settings->key}};
    const char *directive = "";
    size_t longest = 0;

    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        size_t size = files[i].path == NULL ? 0 : strlen(files[i].path);
        if (size <= longest || strstr(reason, files[i].path) == NULL)
            continue;
        longest = size;
        directive = files[i].directive;
    }
    return settings_registry_place(settings, directive);
}

bool registry_try(const struct generation *generation, struct conf_errors *errors)
{
    const struct settings *settings = generation->settings;
    struct error error;

    if (settings->registry == NULL || trial_run(try_all, settings->registry, "the registry's files",
                                                settings->load_timeout_ms, NULL, &error))
        return true;
    const struct conf_place place = place_of(settings->registry, error.text);
    conf_error(errors, &place, "%s", error.text);
    return false;
}
