/* A probe's life: it tries a generation before any other process depends on it. See probe.h. */
#include "worker/probe.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "module/hooks.h"
#include "process/channel.h"
#include "process/early_files.h"
#include "process/title.h"
#include "rpc/callback.h"
#include "rpc/forked.h"
#include "rpc/note.h"
#include "rpc/offer.h"

/* For `pillion -t`: starts as a worker would, with a loop that never runs, to find what would keep
 * a worker from serving. A reload need not, since its workers start before the commit. */
static bool rehearse(struct started *started)
{
    static struct loop loop;
    struct error error;

    if (!loop_init(&loop, &error))
        start_fail(started->start, error.text);
    notes_init(NULL, 0);
    callbacks_init(&loop);
    start_threads(started, &loop, (struct offload_limits){0});
    module_set_slot(&started->modules, 0);
    bool good = module_set_start(&started->modules);
    if (good)
        module_set_stop(&started->modules);
    return good;
}

/* Tells the master the names of the modules' metrics, and of the pools', in messages of whole
 * lines. */
static void say_metrics(const struct started *started)
{
    int channel = started->start->channel;
    struct text list = {0};
    char part[CHANNEL_TEXT_MAX] = "";

    module_set_describe_metrics(&started->modules, &list);
    for (const struct pool_settings *p = started->start->generation->settings->pools; p != NULL;
         p = p->next)
        offload_describe_pool(p->name, &list);
    for (const char *line = text_string(&list), *end; *line != '\0'; line = end + 1) {
        size_t used = strlen(part), size = (size_t)((end = strchr(line, '\n')) + 1 - line);
        if (used + size >= sizeof(part)) {
            channel_say(channel, MESSAGE_METRICS, part);
            used = 0;
        }
        memcpy(part + used, line, size);
        part[used + size] = '\0';
    }
    if (part[0] != '\0')
        channel_say(channel, MESSAGE_METRICS, part);
    text_free(&list);
}

/* Tells the master what the server blocks offer that are to be registered, in parts. */
static void say_methods(const struct started *started)
{
    struct message message = {.type = MESSAGE_METHODS};

    for (const struct server_settings *s = started->start->generation->settings->servers; s != NULL;
         s = s->next) {
        struct text offer = {0};
        if (s->registers == NULL)
            continue;
        if (!offer_write(&started->servers[s->index].methods, OFFER_MAX, &offer))
            log_warn("the methods of a server block take more than the %u bytes that a registry's "
                     "record may have of them: schemas are left out of it",
                     OFFER_MAX);
        message.number = s->index;
        for (size_t at = 0, size; at < offer.size; at += size) {
            size = offer.size - at;
            size = size < sizeof(message.text) ? size : sizeof(message.text) - 1;
            memcpy(message.text, offer.data + at, size);
            message.text[size] = '\0';
            message.serial = at == 0;
            channel_insist(started->start->channel, &message, false);
        }
        text_free(&offer);
    }
}

_Noreturn void probe_main(const struct worker_start *start)
{
    const struct generation *generation = start->generation;
    static struct started started;
    int *keep;
    size_t count = 0;

    start_begin(start, "probe");
    title_set("probe (generation %llu)", (unsigned long long)generation->number);
    keep = must_alloc((generation->module_file_count + 1) * sizeof(*keep));
    keep[count++] = start->channel;
    for (size_t i = 0; i < generation->module_file_count; i++)
        keep[count++] = generation->module_files[i].fd;
    started.start = start;
    early_files_keep(generation);
    start_leave_master(&started, keep, count);
    forked_begin(NULL, keep, count, note_whose);
    free(keep);

    bool good = start_load(&started, -1);
    if (good)
        good = module_set_check(&started.modules);
    if (good && start->rehearses)
        good = rehearse(&started);
    if (!good)
        start_fail(start, text_string(&started.errors.text));
    if (start->board != NULL) {
        say_metrics(&started);
        say_methods(&started);
    }
    channel_say(start->channel, MESSAGE_READY, "");
    _exit(0);
}
