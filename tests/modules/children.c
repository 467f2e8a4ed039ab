/* Starts programs, from a handler and from a thread: what they inherit is the reply, the lines of
 * proc_pid_status(5) on signals. */
#include <pillion/module.h>
#include <stdio.h>
#include <string.h>

struct lines {
    char text[512];
};

static void run(void *data)
{
    struct lines *lines = data;
    FILE *program = popen("grep -E '^Sig(Blk|Ign)' /proc/self/status", "r");
    size_t size = program == NULL ? 0 : fread(lines->text, 1, sizeof(lines->text) - 1, program);

    lines->text[size] = '\0';
    if (program != NULL)
        pclose(program);
}

static void done(pillion_request *req, void *data)
{
    struct lines *lines = data;

    if (req != NULL)
        pillion_reply(req, "signals", cJSON_CreateString(lines->text));
}

static void in_handler(pillion_request *req)
{
    struct lines *lines = pillion_alloc(req, sizeof(*lines));

    run(lines);
    done(req, lines);
}

static void in_thread(pillion_request *req)
{
    pillion_offload(req, 0, run, done, pillion_alloc(req, sizeof(struct lines)));
}

static const pillion_method methods[] = {
    {.name = "in_handler", .handler = in_handler, .summary = "popen(3) in the handler."},
    {.name = "in_thread", .handler = in_thread, .summary = "popen(3) in a thread."},
    {0},
};

PILLION_MODULE(.name = "children", .version = "1.0.0", .methods = methods,
               .needs = PILLION_NEEDS_PROCESSES);
