/* What `make cluster` calls on each of its hosts. `fetch` is idempotent: its answer can be checked
 * by the caller alone. `record` is not: it adds a line with the caller's serial to a file of its
 * host, so that what was carried out twice, or answered and not carried out, is found afterwards.
 * Both say which host has answered, and can take a while. With `fault`, every 50th answer is wrong
 * in one way: so the checker is checked. */
#include <fcntl.h>
#include <pillion/module.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum fault { FAULT_NONE, FAULT_WRONG, FAULT_LOST, FAULT_DOUBLED, FAULT_SILENT };

struct config {
    const char *host;
    const char *file;
    int64_t generation;
    const char *fault;
};

static const pillion_directive directives[] = {
    {.name = "host",
     .type = PILLION_STRING,
     .offset = offsetof(struct config, host),
     .summary = "The name that answers have."},
    {.name = "file",
     .type = PILLION_PATH,
     .offset = offsetof(struct config, file),
     .summary = "Where `record` adds a line."},
    {.name = "generation",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct config, generation),
     .min = 0,
     .max = 1000000,
     .fallback = "0",
     .summary = "A number that answers have."},
    {.name = "fault",
     .type = PILLION_STRING,
     .offset = offsetof(struct config, fault),
     .fallback = "none",
     .summary = "wrong, lost, doubled or silent."},
    {0},
};

struct call {
    int64_t n;
    int64_t ms;
    const char *serial;
};

static const pillion_param fetch_params[] = {
    PILLION_PARAM(struct call, n, PILLION_INTEGER, .required = true, .min = 0, .max = 2147483647),
    PILLION_PARAM(struct call, ms, PILLION_INTEGER, .fallback = "0", .min = 0, .max = 60000),
    {0},
};

static const pillion_param record_params[] = {
    PILLION_PARAM(struct call, serial, PILLION_STRING, .required = true, .min = 1, .max = 64),
    PILLION_PARAM(struct call, ms, PILLION_INTEGER, .fallback = "0", .min = 0, .max = 60000),
    {0},
};

/* In the request's memory, while it takes its time. */
struct wait {
    pillion_token token;
    void (*answer)(pillion_request *req);
};

static bool faulty(pillion_request *req, const char *fault)
{
    static unsigned calls;
    const struct config *config = pillion_config(pillion_self(req));

    return strcmp(config->fault, fault) == 0 && ++calls % 50 == 0;
}

static void put_host(pillion_request *req)
{
    const struct config *config = pillion_config(pillion_self(req));

    pillion_put_string(req, "host", config->host);
    pillion_put_integer(req, "generation", config->generation);
}

/* A number that only this n has: the caller computes it, too. */
static void fetched(pillion_request *req)
{
    const struct call *call = pillion_args(req);
    uint64_t sum = (uint64_t)call->n * 2654435761u % 4294967291u;

    pillion_begin_object(req, "fetched");
    pillion_put_integer(req, "n", call->n);
    pillion_put_integer(req, "sum", (int64_t)sum + faulty(req, "wrong"));
    put_host(req);
    pillion_end(req);
}

static bool add_line(pillion_request *req, const char *serial)
{
    const struct config *config = pillion_config(pillion_self(req));
    char line[80];
    int fd = open(config->file, O_WRONLY | O_APPEND | O_CREAT, 0666);
    int size = snprintf(line, sizeof(line), "%s\n", serial);
    bool added = fd >= 0 && write(fd, line, (size_t)size) == size;

    if (fd >= 0)
        close(fd);
    return added;
}

static void recorded(pillion_request *req)
{
    const struct call *call = pillion_args(req);

    if ((!faulty(req, "lost") && !add_line(req, call->serial)) ||
        (faulty(req, "doubled") && !add_line(req, call->serial))) {
        pillion_fail(req, "not_recorded", "the line cannot be written");
        return;
    }
    pillion_begin_object(req, "recorded");
    pillion_put_string(req, "serial", call->serial);
    put_host(req);
    pillion_end(req);
}

static void waited(pillion_instance *self, void *data)
{
    struct wait *wait = data;
    pillion_request *req = pillion_resume(wait->token);

    (void)self;
    if (req != NULL)
        wait->answer(req);
}

static void begin(pillion_request *req, void (*answer)(pillion_request *req))
{
    const struct call *call = pillion_args(req);
    bool silent = faulty(req, "silent");

    if (call->ms == 0 && !silent) {
        answer(req);
        return;
    }
    struct wait *wait = pillion_alloc(req, sizeof(*wait));
    if (wait == NULL) {
        pillion_fail(req, "overloaded", "out of memory");
        return;
    }
    *wait = (struct wait){.answer = answer, .token = pillion_defer(req, 600000)};
    if (wait->token != 0 && !silent)
        pillion_timer(pillion_self(req), (uint64_t)call->ms, 0, waited, wait);
}

static void fetch(pillion_request *req)
{
    begin(req, fetched);
}

static void record(pillion_request *req)
{
    begin(req, recorded);
}

static const pillion_method methods[] = {
    {.name = "fetch",
     .handler = fetch,
     .summary = "What can be checked.",
     .idempotent = true,
     .read_only = true,
     PILLION_PARAMS(struct call, fetch_params)},
    {.name = "record",
     .handler = record,
     .summary = "A line of a file.",
     PILLION_PARAMS(struct call, record_params)},
    {0},
};

PILLION_MODULE(.name = "ledger", .version = "1.0.0", .methods = methods, .directives = directives,
               .config_size = sizeof(struct config), .needs = PILLION_NEEDS_FILES);
