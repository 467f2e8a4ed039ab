/* What `registry.so` gives to the process that keeps contact with registries: HTTP by libcurl. One
 * process loads it; where it is missing, that costs registries alone. */
#ifndef PILLION_REGISTRY_PLUGIN_H
#define PILLION_REGISTRY_PLUGIN_H

#include <stdint.h>

#include "base/error.h"
#include "registry/http.h"

#define REGISTRY_PLUGIN_VERSION 1u /* raised when anything here, in http.h or engine.h changes */
#define REGISTRY_PLUGIN_SYMBOL  "pillion_registry_plugin"

struct registry_plugin {
    uint32_t version; /* REGISTRY_PLUGIN_VERSION */
    const struct http_table *http;
};

/* Loads it, once in a process. NULL with the reason. */
const struct registry_plugin *registry_plugin_load(struct error *error);

#endif
