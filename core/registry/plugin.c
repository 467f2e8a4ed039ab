/* Loading it. See plugin.h. */
#include "registry/plugin.h"

#include "base/library.h"

const struct registry_plugin *registry_plugin_load(struct error *error)
{
    static const struct registry_plugin *plugin;

    if (plugin == NULL)
        plugin = library_load("registry.so", REGISTRY_PLUGIN_SYMBOL, REGISTRY_PLUGIN_VERSION,
                              "a registry", error);
    return plugin;
}
