/* RPC methods from commands of Redis, made in the configuration:
 *
 *     load_module modules/redis.so { server 127.0.0.1:6379; }
 *     server {
 *         listen 127.0.0.1:8080;
 *         method kv.get { handler redis.command; command GET $key; }
 *     }
 *
 * Each worker has connections of its own, and nothing waits for Redis but the request itself. */
#include <stddef.h>

#include "command.h"
#include "link.h"

/* The block of a `method` statement. */
struct method {
    pillion_list words;
    int returns; /* enum returns */
    struct command command;
};

static const pillion_directive directives[] = {
    {.name = "server",
     .type = PILLION_STRING,
     .offset = offsetof(struct settings, server),
     .fallback = "127.0.0.1:6379",
     .summary = "Where Redis listens: 127.0.0.1:6379, [::1]:6379 or unix:PATH."},
    {.name = "connections",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct settings, connections),
     .fallback = "2",
     .min = 1,
     .max = 64,
     .summary = "Connections of each worker; commands are pipelined over them."},
    {.name = "timeout",
     .type = PILLION_TIME,
     .offset = offsetof(struct settings, timeout_ms),
     .fallback = "1s",
     .min = 1,
     .max = 3600000,
     .summary = "How long a request waits for Redis; then it is answered `timeout`."},
    {.name = "password",
     .type = PILLION_STRING,
     .offset = offsetof(struct settings, password),
     .summary = "For AUTH."},
    {.name = "database",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct settings, database),
     .fallback = "0",
     .min = 0,
     .max = 1000000,
     .summary = "For SELECT."},
    {.name = "max_pending",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct settings, max_pending),
     .fallback = "10000",
     .min = 1,
     .max = 1000000,
     .summary = "Replies to come on one connection; beyond that requests are answered "
                "`overloaded`."},
    {.name = "max_unsent",
     .type = PILLION_SIZE,
     .offset = offsetof(struct settings, max_unsent),
     .fallback = "16m",
     .min = 4096,
     .max = INT64_C(1) << 31,
     .summary = "Bytes that wait for a connection to take them; beyond that requests are answered "
                "`overloaded`."},
    {.name = "max_reply",
     .type = PILLION_SIZE,
     .offset = offsetof(struct settings, max_reply),
     .fallback = "16m",
     .min = 1024,
     .max = INT64_C(1) << 31,
     .summary = "The largest reply, as JSON; a larger one is answered `redis_too_large`."},
    PILLION_TLS_DIRECTIVES(struct settings, ssl),
    {0},
};

static const char *const return_words[] = {"value", "json", NULL};

static const pillion_directive command_directives[] = {
    {.name = "command",
     .type = PILLION_LIST,
     .offset = offsetof(struct method, words),
     .required = true,
     .summary = "The command: words as they stand, $name for a member of params, $name? for one "
                "that may be missing (with the plain word before it, as in EX $ttl?), $names... "
                "for an array of arguments."},
    {.name = "returns",
     .type = PILLION_ENUM,
     .offset = offsetof(struct method, returns),
     .words = return_words,
     .fallback = "value",
     .summary = "`json`: strings that Redis holds are JSON, and are given as it."},
    {0},
};

static int command_start(pillion_instance *self, void *config, pillion_error_text *error)
{
    struct method *method = config;

    (void)self;
    return command_read(&method->words, &method->command, error);
}

static void command(pillion_request *req)
{
    const struct method *method = pillion_method_config(req);
    pillion_bytes encoded;

    if (command_make(req, &method->command, &encoded))
        links_send(pillion_state(pillion_self(req)), req, encoded, method->returns);
}

static int check(pillion_instance *self, pillion_error_text *error)
{
    return links_check(self, pillion_config(self), error);
}

static int start(pillion_instance *self, pillion_error_text *error)
{
    struct links *links = links_open(self, pillion_config(self), error);

    pillion_set_state(self, links);
    return links == NULL ? -1 : 0;
}

static void stop(pillion_instance *self)
{
    links_close(pillion_state(self));
}

static const pillion_method methods[] = {
    {.name = "command",
     .handler = command,
     .summary = "Sends a command to Redis, and gives its reply.",
     .directives = command_directives,
     .config_size = sizeof(struct method),
     .start = command_start},
    {0},
};

static const pillion_metric metrics[] = {
    [METRIC_COMMANDS] = {.name = "commands",
                         .type = PILLION_COUNTER,
                         .summary = "Commands that were sent to Redis."},
    [METRIC_ERRORS] = {.name = "errors",
                       .type = PILLION_COUNTER,
                       .summary = "Requests answered `redis_error`."},
    [METRIC_UNAVAILABLE] = {.name = "unavailable",
                            .type = PILLION_COUNTER,
                            .summary = "Requests answered `redis_unavailable`."},
    [METRIC_CONNECTED] = {.name = "connected",
                          .type = PILLION_GAUGE,
                          .summary = "Connections to Redis."},
    {0},
};

PILLION_MODULE(.name = "redis", .version = "1.0.0", .summary = "RPC methods from Redis commands.",
               .methods = methods, .directives = directives, .config_size = sizeof(struct settings),
               .check = check, .start = start, .stop = stop, .metrics = metrics,
               .needs = PILLION_NEEDS_NETWORK);
