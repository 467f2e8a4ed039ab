/* The core's own directives: one table. See settings_table.h.
 *
 * Its rows are in settings_main.def, settings_server.def, settings_ssl.def, settings_method.def and
 * settings_registry.def, by kinds of block. A directive is added there, with its member in
 * settings.h, and nowhere else; one that needs more than a type has a setter in setters.c. What the
 * rows share is here. */
#include "conf/settings_table.h"

#include "conf/directive.h"
#include "conf/setters.h"

#define DAY_MS 86400000

/* ---- the table ---- */

static const char *const word_auto[] = {"auto", NULL};
static const char *const words_auto[] = {"auto", "off", "on", NULL};
static const char *const words_declared[] = {"declared", "off", "on", NULL};
static const char *const words_validate[] = {"default", "off", "params", "all", NULL};
static const char *const words_sigterm[] = {"auto", "stop", "quit", NULL};
static const char *const words_verify[] = {"off", "optional", "on", NULL};
static const char *const word_off[] = {"off", NULL};

#define MAIN(member) .contexts = CONF_IN_MAIN, .offset = offsetof(struct settings, member)
#define SERVER(member) \
    .contexts = CONF_IN_SERVER, .offset = offsetof(struct server_settings, member)
#define METHOD(member) \
    .contexts = CONF_IN_METHOD, .offset = offsetof(struct method_settings, member)
#define REGISTRY(member) \
    .contexts = CONF_IN_REGISTRY, .offset = offsetof(struct registry_settings, member)

/* One list, because a name that belongs in another kind of block is looked for in all of them. */
const struct conf_directive settings_directives[] = {
#include "conf/settings_main.def"

#include "conf/settings_server.def"

#include "conf/settings_ssl.def"

#include "conf/settings_method.def"

#include "conf/settings_registry.def"
    {0},
};
