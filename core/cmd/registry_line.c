/* The line. See registry_line.h. */
#include "cmd/registry_line.h"

#include "cmd/figures.h"

void registry_line(struct text *out, const struct sample_registry *registry)
{
    text_append_string(out, "registry: ");
    if (!registry->configured) {
        text_append_string(out, "none, DNS alone");
    } else if (registry->connected) {
        text_append_string(out, "connected");
    } else {
        text_append_string(out, "away for ");
        figure_age(out, registry->away_s, 0);
        text_append_string(out, ", the servers known last are used");
    }
    if (registry->addresses > 0)
        text_printf(out, "; %.0f of %.0f addresses registered", registry->registered,
                    registry->addresses);
    if (registry->services > 0)
        text_printf(out, "; %.0f service%s with %.0f server%s", registry->services,
                    registry->services == 1 ? "" : "s", registry->servers,
                    registry->servers == 1 ? "" : "s");
}
