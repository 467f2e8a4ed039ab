/* Starting workers and probes. See start.h. */
#include "worker/start.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "conf/settings_table.h"
#include "module/bind.h"
#include "process/channel.h"
#include "process/child.h"
#include "process/core_dump.h"
#include "process/early_files.h"
#include "process/sandbox.h"
#include "process/zones.h"
#include "registry/dns_load.h"
#include "rpc/service.h"

_Noreturn void start_fail(const struct worker_start *start, const char *text)
{
    channel_say(start->channel, MESSAGE_FAILED, text);
    _exit(1);
}

static struct {
    int channel;
    char name[64];
    char label[256], doing[64]; /* the stage */
} begun;

static void tell_exhaustion(void)
{
    char text[512];

    snprintf(text, sizeof(text), "%s: out of memory while %s\n",
             begun.label[0] == '\0' ? begun.name : begun.label, begun.doing);
    channel_say(begun.channel, MESSAGE_FAILED, text);
}

void start_begin(const struct worker_start *start, const char *name)
{
    begun.channel = start->channel;
    snprintf(begun.name, sizeof(begun.name), "%s", name);
    snprintf(begun.doing, sizeof(begun.doing), "starting");
    log_identity(name);
    memory_on_exhaustion(tell_exhaustion);
}

static void say_stage(void *context, const char *label, const char *doing)
{
    const struct worker_start *start = context;
    char text[512];

    snprintf(begun.label, sizeof(begun.label), "%s", label);
    snprintf(begun.doing, sizeof(begun.doing), "%s", doing);
    snprintf(text, sizeof(text), "%s\n%s", label, doing);
    channel_say(start->channel, MESSAGE_STAGE, text);
}

static void want_service(const char *name)
{
    struct message message = {.type = MESSAGE_WANTS};

    snprintf(message.text, sizeof(message.text), "%s", name);
    channel_insist(begun.channel, &message, false);
}

static struct error dns_error; /* "" : it can be asked */

static bool dns_can_be_asked(struct error *error)
{
    *error = dns_error;
    return dns_error.text[0] == '\0';
}

bool start_load(struct started *started, int slot)
{
    const struct worker_start *start = started->start;
    const struct generation *generation = start->generation;
    const struct settings *settings = generation->settings;
    struct error error;
    bool good = true;

    /* Only the probe tries it. A worker asks nobody, and does not end for a file that is gone. */
    if (slot < 0 && dns_load(&dns_error) != NULL)
        dns_error.text[0] = '\0';
    if (!sandbox_enter(generation, start->channel, slot < 0, &error))
        start_fail(start, error.text);
    started->modules = (struct module_set){
        .tree = generation->tree,
        .errors = &started->errors,
        .advises = slot < 0, /* the probe: not each worker once more */
        .stage = say_stage,
        .stage_context = (void *)(uintptr_t)start,
    };
    services_begin(&(struct service_source){
        .directory = start->directory,
        .registry = settings->registry != NULL,
        .want = slot < 0 ? NULL : want_service,
        .dns = slot < 0 ? dns_can_be_asked : NULL,
    });
    request_install_cjson_hooks();
    if (!module_set_load(&started->modules, generation->module_files, generation->module_file_count,
                         slot, (int)generation->slots, generation->number))
        return false;
    started->server_count = 0;
    for (struct server_settings *s = settings->servers; s != NULL; s = s->next)
        started->server_count++;
    started->servers = must_zalloc(started->server_count * sizeof(*started->servers));
    for (struct server_settings *s = settings->servers; s != NULL; s = s->next)
        good = module_set_bind(&started->modules, s, settings->handler_timeout_ms,
                               &started->servers[s->index].methods) &&
               good;
    return good;
}

void start_leave_master(struct started *started, const int *keep, size_t count)
{
    const struct worker_start *start = started->start;
    struct error error;

    if (!zones_map(start->generation->settings, &error))
        start_fail(start, error.text);
    started->row = start->row;
    log_count_lost(NULL); /* the board cannot be written to */
    if (start->board != NULL &&
        !board_enter(start->board, start->row == NULL ? NULL : &started->row, &error))
        start_fail(start, error.text);
    log_use(&start->generation->settings->log, start->generation->log);
    log_move_apart();
    early_files_read(start->generation);
    child_begin(keep, count);
    core_dump_limit(start->generation->settings);
    if (started->row != NULL)
        log_count_lost(&started->row->counters[COUNT_LOG_LOST]);
    if (!privilege_drop(&start->generation->identity, start->master, &error))
        start_fail(start, error.text);
    if (!core_dump_enter(start->generation->settings, &error)) {
        const struct conf_place place =
            settings_place(start->generation->tree, "working_directory");
        conf_error(&started->errors, &place, "%s", error.text);
        start_fail(start, text_string(&started->errors.text));
    }
}

void start_threads(const struct started *started, struct loop *loop, struct offload_limits limits)
{
    struct error error;
    const struct settings *settings = started->start->generation->settings;

    limits.threads = (uint32_t)settings->pool_threads;
    limits.queue = (uint32_t)settings->pool_queue;
    limits.row = started->row;
    if (!offload_init(loop, &limits)) {
        error_errno(&error, "cannot make the eventfd by which threads wake the worker");
        start_fail(started->start, error.text);
    }
    for (const struct pool_settings *p = settings->pools; p != NULL; p = p->next)
        offload_add_pool(p->name, (uint32_t)p->threads, (uint32_t)p->queue);
}
