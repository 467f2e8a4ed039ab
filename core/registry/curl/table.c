/* registry.so, which one process loads: see registry/plugin.h. It uses nothing of the core, and the
 * core nothing of it but this table. */
#include <curl/curlver.h>

#include "engine.h"
#include "registry/plugin.h"
#include "transfer.h"

static const struct http_table http = {
    .library = "libcurl " LIBCURL_VERSION,
    /* Where Debian's ca-certificates has them. */
    .ca_file = "/etc/ssl/certs/ca-certificates.crt",
    .open = engine_open,
    .close = engine_close,
    .ready = engine_ready,
    .due = engine_due,
    .start = transfer_start,
    .cancel = transfer_cancel,
};

extern const struct registry_plugin pillion_registry_plugin;

__attribute__((visibility("default"))) const struct registry_plugin pillion_registry_plugin = {
    .version = REGISTRY_PLUGIN_VERSION,
    .http = &http,
};
