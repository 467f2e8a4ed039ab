/* Reading the settings, and the checks that need the whole configuration. See settings_table.h. */
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/processors.h"
#include "conf/setters.h"
#include "conf/settings_table.h"

#include "conf/directive.h"

#define CPU_MASK_MAX 1024u /* digits; CPU_SETSIZE of sched_setaffinity(2) */

/* The statement that decides `name` in main: the last one, or the last one that overrides. */
static const struct conf_statement *find_main(const struct conf_tree *tree, const char *name)
{
    const struct conf_statement *found = NULL;

    for (const struct conf_statement *s = tree->statements; s != NULL; s = s->next) {
        bool wins = found == NULL || s->overrides || !found->overrides;
        if (wins && s->word_count > 0 && strcmp(s->name.text, name) == 0)
            found = s;
    }
    return found;
}

/* The place of the configuration file as a whole; or of the command line, when there is no file. */
static struct conf_place whole_file(const struct conf_tree *tree)
{
    const struct conf_source *source = tree->sources;

    while (source != NULL && source->fd < 0 && source->next != NULL)
        source = source->next;
    return (struct conf_place){.source = source};
}

struct conf_place settings_place(const struct conf_tree *tree, const char *name)
{
    const struct conf_statement *statement = find_main(tree, name);

    return statement == NULL ? whole_file(tree) : statement->words[0].place;
}

bool settings_give(const struct conf_tree *tree, const char *name)
{
    return find_main(tree, name) != NULL;
}

/* Checks the control socket's path. A setter could not, because a default that is too long may be
 * overruled. */
static void check_control(const struct conf_tree *tree, const struct settings *settings,
                          struct conf_errors *errors)
{
    const struct conf_statement *statement = find_main(tree, "control");
    size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    if (strlen(settings->control) <= most)
        return;
    conf_error(errors, statement == NULL ? NULL : &statement->words[0].place,
               "the control socket's path, %s, has %zu bytes, and the system allows %zu; set "
               "\"control\" to a shorter one",
               settings->control, strlen(settings->control), most);
}

/* A file that others may write could say `off` itself. */
static void check_strict_modes(const struct conf_tree *tree, const struct settings *settings,
                               struct conf_errors *errors)
{
    const struct conf_statement *statement = find_main(tree, "strict_modes");

    if (!settings->strict_modes && statement != NULL && !statement->overrides)
        conf_error(errors, &statement->name.place,
                   "\"strict_modes off\" can only be given on the command line, as in "
                   "`pillion -g 'strict_modes off;'`: a file cannot vouch for itself");
}

static bool is_cpu_mask(const char *text)
{
    size_t size = strspn(text, "01");

    return size <= CPU_MASK_MAX && text[size] == '\0' && strchr(text, '1') != NULL;
}

static void check_affinity(const struct conf_tree *tree, struct conf_errors *errors)
{
    for (const struct conf_statement *s = tree->statements; s != NULL; s = s->next) {
        if (strcmp(s->name.text, "worker_cpu_affinity") != 0)
            continue;
        for (size_t i = 0; i < s->word_count; i++) {
            const char *word = s->words[i].text;
            bool only = s->word_count == 1 && strcmp(word, "auto") == 0;
            if (!only && !is_cpu_mask(word))
                conf_error(errors, &s->words[i].place,
                           "\"worker_cpu_affinity\" must be auto alone, or masks of 0 and 1 with "
                           "at least one 1, not \"%s\"",
                           word);
        }
    }
}

static void check_ports(const struct conf_tree *tree, struct conf_errors *errors)
{
    for (const struct conf_statement *s = tree->statements; s != NULL; s = s->next) {
        if (strcmp(s->name.text, "sandbox_connect") != 0)
            continue;
        for (size_t i = 0; i < s->word_count; i++) {
            const char *word = s->words[i].text;
            size_t size = strspn(word, "0123456789");
            unsigned long port = size < 6 ? strtoul(word, NULL, 10) : 0;
            if (word[size] != '\0' || port == 0 || port > UINT16_MAX)
                conf_error(errors, &s->words[i].place,
                           "\"sandbox_connect\" must be ports, 1 to 65535, not \"%s\"", word);
        }
    }
}

static void check_servers(const struct conf_tree *tree, const struct settings *settings,
                          struct conf_errors *errors)
{
    const struct conf_place whole = whole_file(tree);

    if (settings->servers != NULL || errors->count > 0)
        return;
    conf_error(errors, &whole,
               "no server block: nothing would be served; add "
               "\"server { listen 127.0.0.1:8080; … }\"");
}

static int64_t usable_processors(void)
{
    uint32_t count = processors_usable();

    return count > WORKER_PROCESSES_MAX ? WORKER_PROCESSES_MAX : count;
}

bool settings_read(struct conf_tree *tree, struct settings *settings, struct conf_errors *errors)
{
    struct conf_apply apply = {.tree = tree, .errors = errors, .context = settings};
    unsigned before = errors->count;

    *settings = (struct settings){0};
    conf_apply(&apply, settings_directives, CONF_IN_MAIN, "main", NULL, tree->statements, settings);
    check_control(tree, settings, errors);
    check_strict_modes(tree, settings, errors);
    check_affinity(tree, errors);
    check_ports(tree, errors);
    check_servers(tree, settings, errors);
    settings_find_pools(settings, tree, errors);
    settings_check_ssl(settings, errors);
    settings_check_registry(settings, errors);
    settings_check_proxy_all(settings, errors);
    if (settings->worker_processes == 0)
        settings->worker_processes = usable_processors();
    if (settings->gate_processes == 0)
        settings->gate_processes = settings->worker_processes < GATE_PROCESSES_MAX
                                       ? settings->worker_processes
                                       : GATE_PROCESSES_MAX;
    return errors->count == before;
}
