/* Names that are in the way. See name_advice.h. */
#include "process/name_advice.h"

#include <stdio.h>
#include <string.h>

#include "rpc/http_call.h"
#include "rpc/mcp.h"
#include "rpc/status.h"
#include "rpc/tool.h"
#include "wire/protocol.h"

/* What the path is for that looks like this method's; NULL: for the method. */
static const char *path_is_for(const struct server_settings *server, const char *method)
{
    static const struct {
        const char *path, *what;
    } paths[] = {
        {MCP_PATH, "agents"},
        {HTTP_PATH_HEALTH, "probes"},
        {HTTP_PATH_READY, "probes"},
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        if (strcmp(paths[i].path + 1, method) == 0)
            return paths[i].what;
    }
    char path[METHOD_NAME_MAX + 2];
    snprintf(path, sizeof(path), "/%s", method);
    if (!server->status || !status_has(bytes_of(path)))
        return NULL;
    return status_is_metrics(bytes_of(path)) ? "Prometheus" : "the page of `status on`";
}

static bool speaks_http(const struct server_settings *server)
{
    for (const struct listen_settings *l = server->listens; l != NULL; l = l->next) {
        if (l->protocol == PROTOCOL_AUTO || l->protocol == PROTOCOL_HTTP)
            return true;
    }
    return false;
}

static void advise(const struct server_settings *server, const struct method_settings *method,
                   struct text *advice)
{
    const char *what = path_is_for(server, method->name);
    const struct conf_place *at = &method->place;

    if (what != NULL)
        text_printf(advice,
                    "%s:%u: the path /%s is for %s: over HTTP this method is called by POST / "
                    "alone; another name for it would have a path of its own\n",
                    at->source->name, at->line, method->name, what);
    if (method->tool == TOOL_ON && !tool_name_is_valid(bytes_of(method->name)))
        text_printf(advice,
                    "%s:%u: \"%s\" is no tool, although it has `tool on`: a tool's name has at "
                    "most 128 letters, digits, \"_\", \".\" and \"-\"\n",
                    at->source->name, at->line, method->name);
}

void name_advise(const struct settings *settings, struct text *advice)
{
    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        for (const struct method_settings *m = s->methods; m != NULL && speaks_http(s); m = m->next)
            advise(s, m, advice);
    }
}
