/* Checking a configuration against the machine. See preflight.h. */
#include "process/preflight.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/memory.h"
#include "conf/settings_table.h"

/* ---- Processors ---- */

/* True when the mask has a processor that exists. Whether the server may use it,
 * sched_setaffinity(2) tells. */
static bool has_processor(const char *mask, long processors)
{
    size_t digits = strlen(mask);

    for (size_t i = 0; i < digits; i++) {
        if (mask[i] == '1' && digits - 1 - i < (size_t)processors)
            return true;
    }
    return false;
}

static bool is_used(const struct conf_list *list, const char *word)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i] == word) /* the same pointer: lists hold the tree's words */
            return true;
    }
    return false;
}

bool preflight_processors(const struct conf_tree *tree, const struct settings *settings,
                          struct conf_errors *errors)
{
    const struct conf_list *masks = &settings->worker_cpu_affinity;
    long processors = sysconf(_SC_NPROCESSORS_CONF);
    unsigned before = errors->count;

    if (masks->count == 0 || processors < 1 || strcmp(masks->items[0], "auto") == 0)
        return true;
    for (const struct conf_statement *s = tree->statements; s != NULL; s = s->next) {
        for (size_t i = 0; i < s->word_count; i++) {
            const char *mask = s->words[i].text;
            if (!is_used(masks, mask) || has_processor(mask, processors))
                continue;
            conf_error(errors, &s->words[i].place,
                       "\"%s\" is no processor of this machine, which has %ld; the lowest is the "
                       "last digit of a mask",
                       mask, processors);
        }
    }
    return errors->count == before;
}

/* ---- The system ---- */

bool preflight_system(struct conf_errors *errors)
{
    struct error error;

    if (descriptors_have_names())
        return true;
    if (errno == ENOENT)
        return true;
    error_errno(&error, "cannot look at /proc/self/fd, through which modules are loaded, and "
                        "memory is shared");
    conf_error(errors, NULL, "%s", error.text);
    return false;
}

void preflight_advise(struct text *advice)
{
    if (!descriptors_have_names())
        text_append_string(
            advice,
            "/proc is not mounted here (`mount -t proc proc /proc`): modules are loaded "
            "from their files, as with `pin_modules off`; a module could write to the "
            "counters of other processes; how much memory a process has is not known "
            "(worker_max_memory), nor whether one is stopped; and no upgrade is possible\n");
}

/* RLIMIT_FSIZE limits memory files, too (setrlimit(2)). */
bool preflight_limits(const struct conf_tree *tree, uint64_t arena, struct conf_errors *errors)
{
    const struct conf_place place = settings_place(tree, "arena_size");
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
        arena <= limit.rlim_cur)
        return true;
    conf_error(errors, &place,
               "an arena has %llu bytes, but RLIMIT_FSIZE (`ulimit -f`) allows files of %llu, "
               "memory files included; raise it, or lower arena_size",
               (unsigned long long)arena, (unsigned long long)limit.rlim_cur);
    return false;
}
