/* From one binary to the next. See inherit.h. */
#include "master/inherit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_file.h"
#include "base/memory.h"
#include "base/sink.h"
#include "conf/parser.h"
#include "conf/settings_table.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/state.h"
#include "net/handoff.h"
#include "net/passed.h"
#include "process/zones.h"
#include "wire/protocol.h"

/* ---- Writing ---- */

static void write_statements(cJSON *state, const char *name, const struct conf_tree *tree,
                             bool overrides)
{
    struct text text = {0};

    conf_tree_write(tree, overrides, &text);
    cJSON_AddStringToObject(state, name, text_string(&text));
    text_free(&text);
}

/* Writes the generation that serves: everything that its workers are started from. */
static void write_generation(cJSON *state, const struct generation *generation)
{
    cJSON *identity = cJSON_AddObjectToObject(state, "identity");
    cJSON_AddBoolToObject(identity, "change", generation->identity.change);
    cJSON_AddStringToObject(identity, "name", generation->identity.name);
    cJSON_AddNumberToObject(identity, "user", generation->identity.user);
    cJSON_AddNumberToObject(identity, "group", generation->identity.group);
    if (generation->resumed) /* it was inherited itself, and only in part */
        return;
    cJSON_AddNumberToObject(state, "current", (double)generation->number);
    cJSON_AddNumberToObject(state, "records", generation->geometry.records);
    cJSON_AddNumberToObject(state, "blocks", generation->geometry.blocks);
    write_statements(state, "directives", generation->tree, true);
    write_statements(state, "configuration", generation->tree, false);
    cJSON *listening = cJSON_AddArrayToObject(state, "listening");
    for (size_t i = 0; i < generation->listener_count; i++) {
        const struct generation_listener *l = &generation->listeners[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "listener", l->listener->id);
        cJSON_AddNumberToObject(item, "server", l->server->index);
        cJSON_AddNumberToObject(item, "backlog", l->backlog);
        cJSON_AddNumberToObject(item, "count", l->count);
        cJSON_AddBoolToObject(item, "reuseport", l->reuseport);
        cJSON_AddBoolToObject(item, "proxied", l->proxied);
        cJSON_AddBoolToObject(item, "ssl", l->ssl);
        cJSON_AddNumberToObject(item, "protocol", l->protocol);
        cJSON_AddItemToArray(listening, item);
    }
    cJSON *heirs = cJSON_AddArrayToObject(state, "heirs");
    for (size_t i = 0; i < generation->heir_count; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "listener", generation->heirs[i].listener);
        cJSON_AddNumberToObject(item, "heir", generation->heirs[i].heir);
        cJSON_AddItemToArray(heirs, item);
    }
    cJSON_AddNumberToObject(state, "files", generation->files);
    cJSON *list = cJSON_AddArrayToObject(state, "modules");
    for (size_t i = 0; i < generation->module_file_count; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "path", generation->module_files[i].settings->path);
        cJSON_AddNumberToObject(item, "fd", generation->module_files[i].fd);
        cJSON_AddItemToArray(list, item);
    }
}

static void write_listeners(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "listeners");

    for (struct listener *l = master.listeners.first; l != NULL; l = l->next) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "address", l->address.text);
        cJSON_AddNumberToObject(item, "id", l->id);
        cJSON_AddNumberToObject(item, "backlog", l->backlog);
        cJSON_AddBoolToObject(item, "reuseport", l->reuseport);
        cJSON_AddBoolToObject(item, "reuseport_set", l->reuseport_set);
        cJSON_AddBoolToObject(item, "passed", l->passed);
        state_add_file(item, "file", l->file);
        if (l->hands_over) {
            cJSON_AddNumberToObject(item, "handoff_out", l->handoff[HANDOFF_OUT]);
            cJSON_AddNumberToObject(item, "handoff_in", l->handoff[HANDOFF_IN]);
        }
        cJSON *fds = cJSON_AddArrayToObject(item, "fds");
        for (uint32_t i = 0; i < l->count; i++)
            cJSON_AddItemToArray(fds, cJSON_CreateNumber(l->fds[i]));
        cJSON_AddItemToArray(list, item);
    }
    cJSON_AddNumberToObject(state, "last_listener", master.listeners.last_id);
    list = cJSON_AddArrayToObject(state, "passed");
    for (size_t i = 0; passed_descriptor(i) >= 0; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(passed_descriptor(i)));
}

void inherit_write(cJSON *state)
{
    cJSON_AddStringToObject(state, "prefix", master.options->prefix);
    cJSON_AddNumberToObject(state, "log", log_descriptor() > STDERR_FILENO ? log_descriptor() : -1);
    cJSON_AddNumberToObject(state, "generation", (double)generation_last_number());
    cJSON_AddNumberToObject(state, "slots", generation_current()->slots);
    write_listeners(state);
    write_generation(state, generation_current());
}

void inherit_keep_open(bool keep)
{
    const struct generation *generation = generation_current();

    for (const struct listener *l = master.listeners.first; l != NULL; l = l->next) {
        for (uint32_t i = 0; i < l->count; i++)
            state_keep_open(l->fds[i], keep);
        for (uint32_t i = 0; l->hands_over && i < 2; i++)
            state_keep_open(l->handoff[i], keep);
    }
    for (size_t i = 0; passed_descriptor(i) >= 0; i++)
        state_keep_open(passed_descriptor(i), keep);
    for (size_t i = 0; i < generation->module_file_count; i++)
        state_keep_open(generation->module_files[i].fd, keep);
    state_keep_open(generation->files, keep);
    if (log_descriptor() > STDERR_FILENO)
        state_keep_open(log_descriptor(), keep);
}

/* ---- Reading ---- */

/* The settings that inherit_configuration has found. */
static struct settings *inherited;

bool inherit_prefix(char *prefix, size_t size)
{
    struct error error;
    cJSON *state = state_read(-1, &error);
    const char *path = state == NULL ? NULL : state_words(state, "prefix", NULL);
    bool known = path != NULL && strlen(path) < size;

    if (known)
        snprintf(prefix, size, "%s", path);
    cJSON_Delete(state);
    return known;
}

/* The configuration that was in use; NULL when the state has none that this binary can read. */
static struct conf_tree *former_configuration(const cJSON *state, const char *prefix,
                                              struct settings **settings)
{
    const char *directives = state_words(state, "directives", NULL),
               *text = state_words(state, "configuration", NULL);
    struct conf_errors errors = {0};
    struct conf_tree *tree = conf_tree_new(prefix);

    *settings = pool_must_zalloc(&tree->pool, sizeof(**settings));
    bool good =
        directives != NULL && text != NULL &&
        conf_tree_add_text(tree, "-g", bytes_of(directives), true, &errors) &&
        conf_tree_add_text(tree, "the configuration in use", bytes_of(text), false, &errors) &&
        settings_read(tree, *settings, &errors);
    if (errors.count > 0) {
        log_warn("this binary does not understand the configuration that is in use:");
        log_error_lines(text_string(&errors.text));
    }
    conf_errors_free(&errors);
    if (good)
        return tree;
    conf_tree_free(tree);
    return NULL;
}

/* The configuration file as it is now; the defaults when it has errors. */
static struct conf_tree *any_configuration(const struct serve_options *options,
                                           struct settings **settings)
{
    struct conf_errors errors = {0};
    struct conf_tree *tree = generation_configure(options, settings, &errors);

    if (tree == NULL) {
        log_error("the configuration has errors; the workers of the former binary serve on");
        log_error_lines(text_string(&errors.text));
        tree = conf_tree_new(options->prefix);
        *settings = pool_must_zalloc(&tree->pool, sizeof(**settings));
        settings_read(tree, *settings, &errors);
    }
    conf_errors_free(&errors);
    return tree;
}

static bool read_identity(const cJSON *state, const struct settings *settings,
                          struct identity *identity)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(state, "identity");
    const char *name = state_words(item, "name", NULL);
    struct error error;

    if (name != NULL && strlen(name) < sizeof(identity->name)) {
        identity->change = state_truth(item, "change");
        identity->user = (uid_t)state_number(item, "user", 0);
        identity->group = (gid_t)state_number(item, "group", 0);
        snprintf(identity->name, sizeof(identity->name), "%s", name);
        return true;
    }
    if (identity_resolve(settings, identity, &error))
        return true;
    log_error("%s", error.text);
    /* No user at all is better than root: a child that is to become this user ends. */
    *identity = (struct identity){.change = true, .user = (uid_t)-1, .group = (gid_t)-1};
    return false;
}

struct conf_tree *inherit_configuration(const cJSON *state, const struct serve_options *options,
                                        struct settings **settings)
{
    int log = (int)state_number(state, "log", -1);
    struct identity identity;
    struct error error;

    if (log > STDERR_FILENO) {
        state_keep_open(log, false);
        log_adopt(log);
    }
    struct conf_tree *tree = former_configuration(state, options->prefix, settings);
    if (tree == NULL)
        tree = any_configuration(options, settings);
    sink_own(STDOUT_FILENO);
    sink_own(STDERR_FILENO);
    inherited = *settings;
    if (read_identity(state, *settings, &identity))
        log_file_distrust(identity.user);
    if (log > STDERR_FILENO) /* keep the open file, whatever is at its path by now */
        log_use(&(*settings)->log, -1);
    else if (!log_open(&(*settings)->log, &error))
        log_error("%s; the log stays where it was", error.text);
    return tree;
}

/* The sealed modules, which are named in the order of the configuration. */
static bool read_modules(const cJSON *state, struct generation *generation)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(state, "modules");
    size_t count = 0;

    for (struct module_settings *m = generation->settings->modules; m != NULL; m = m->next)
        count++;
    if (!cJSON_IsArray(item) || (size_t)cJSON_GetArraySize(item) != count)
        return false;
    generation->module_files = must_zalloc(count * sizeof(*generation->module_files));
    generation->module_file_count = count;
    item = item->child;
    for (struct module_settings *m = generation->settings->modules; m != NULL;
         m = m->next, item = item->next) {
        const char *path = state_words(item, "path", NULL);
        int fd = (int)state_number(item, "fd", -1);
        generation->module_files[m->index] = (struct module_file){.settings = m, .fd = fd};
        state_keep_open(fd, false);
        if (path == NULL || strcmp(path, m->path) != 0)
            return false;
    }
    return true;
}

static const struct server_settings *server_of(const struct settings *settings, double index)
{
    const struct server_settings *server = settings->servers;
    while (server != NULL && (double)server->index != index)
        server = server->next;
    return server;
}

static bool read_listening(const cJSON *state, const struct listeners *listeners,
                           struct generation *generation)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(state, "listening"), *item;
    size_t count = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0;

    generation->listeners = must_zalloc(count * sizeof(*generation->listeners));
    cJSON_ArrayForEach(item, list)
    {
        struct listener *listener = listeners->first;
        while (listener != NULL && (double)listener->id != state_number(item, "listener", -1))
            listener = listener->next;
        const struct server_settings *server =
            server_of(generation->settings, state_number(item, "server", -1));
        if (listener == NULL || server == NULL)
            return false;
        listener->users++;
        generation->listeners[generation->listener_count++] = (struct generation_listener){
            .listener = listener,
            .server = server,
            .backlog = (int)state_number(item, "backlog", 0),
            .count = (uint32_t)state_number(item, "count", 0),
            .reuseport = state_truth(item, "reuseport"),
            .proxied = state_truth(item, "proxied"),
            .ssl = listener->hands_over && state_truth(item, "ssl"),
            .protocol = (uint8_t)state_number(item, "protocol", PROTOCOL_AUTO),
        };
    }
    return count > 0;
}

static void read_heirs(const cJSON *state, struct generation *generation)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(state, "heirs"), *item;
    size_t count = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0;

    generation->heirs = must_zalloc(count * sizeof(*generation->heirs));
    cJSON_ArrayForEach(item, list) generation->heirs[generation->heir_count++] =
        (struct heir){.listener = (uint32_t)state_number(item, "listener", 0),
                      .heir = (uint32_t)state_number(item, "heir", 0)};
}

/* Fills `generation` with everything that its workers are started from. Nothing is looked up, bound
 * or read from disk. False when the state does not have it all: then no worker can be started from
 * it, and it only stands for the running ones. The children's user is set in any case. */
static bool read_generation(const cJSON *state, struct generation *generation)
{
    struct conf_errors errors = {0};

    bool known = read_identity(state, inherited, &generation->identity);
    generation->tree = former_configuration(state, master.options->prefix, &generation->settings);
    if (generation->tree == NULL)
        return false;
    generation->geometry.records = (uint32_t)state_number(state, "records", 0);
    generation->geometry.blocks = (uint32_t)state_number(state, "blocks", 0);
    bool good = known && generation->geometry.records > 0 && read_modules(state, generation) &&
                read_listening(state, &master.listeners, generation) &&
                zones_make(generation->settings, &errors);
    read_heirs(state, generation);
    if (!good)
        log_warn("workers that die are not replaced before a reload%s%s",
                 errors.count > 0 ? ": " : "", text_string(&errors.text));
    conf_errors_free(&errors);
    return good;
}

static void read_listener(const cJSON *item)
{
    const cJSON *address = cJSON_GetObjectItemCaseSensitive(item, "address");
    const cJSON *fds = cJSON_GetObjectItemCaseSensitive(item, "fds");
    struct listener *listener = must_zalloc(sizeof(*listener));
    struct error error;

    if (!cJSON_IsString(address) ||
        !address_parse(address->valuestring, NULL, false, &listener->address, &error)) {
        free(listener);
        return;
    }
    listener->id = (uint32_t)state_number(item, "id", 0);
    listener->backlog = (int)state_number(item, "backlog", 0);
    listener->reuseport = state_truth(item, "reuseport");
    listener->reuseport_set = listener->reuseport || state_truth(item, "reuseport_set");
    listener->passed = state_truth(item, "passed");
    if (listener->address.socket.ss_family == AF_UNIX)
        listener->file = state_file(item, "file", address->valuestring + strlen("unix:"));
    listener->handoff[HANDOFF_OUT] = (int)state_number(item, "handoff_out", -1);
    listener->handoff[HANDOFF_IN] = (int)state_number(item, "handoff_in", -1);
    listener->hands_over =
        listener->handoff[HANDOFF_OUT] >= 0 && listener->handoff[HANDOFF_IN] >= 0;
    listener->fds = must_zalloc((size_t)cJSON_GetArraySize(fds) * sizeof(int));
    const cJSON *fd;
    cJSON_ArrayForEach(fd, fds) listener->fds[listener->count++] = fd->valueint;
    listener->listening = listener->count;
    listener->next = master.listeners.first;
    master.listeners.first = listener;
}

/* The former binary's generation, until the first one of this binary serves. */
static struct generation *resumed_generation(const cJSON *state)
{
    struct generation *generation = must_zalloc(sizeof(*generation));
    struct conf_errors errors = {0};

    generation->former = true;
    generation->log = -1;
    generation->files = (int)state_number(state, "files", -1);
    state_keep_open(generation->files, false);
    generation->number =
        (uint64_t)state_number(state, "current", state_number(state, "generation", 0));
    generation->slots = (uint32_t)state_number(state, "slots", 1);
    generation->users = 1;
    bool whole = read_generation(state, generation) &&
                 generation_register(generation, master.board, &errors);
    if (generation->tree == NULL)
        generation->settings = inherited;
    generation_measure(generation);
    if (whole)
        return generation;
    log_error_lines(text_string(&errors.text));
    conf_errors_free(&errors);
    for (size_t i = 0; i < generation->listener_count; i++)
        generation->listeners[i].listener->users--;
    generation->listener_count = 0;
    generation->resumed = true;
    for (struct listener *l = master.listeners.first; l != NULL; l = l->next) {
        generation->listeners =
            must_realloc(generation->listeners,
                         (generation->listener_count + 1) * sizeof(*generation->listeners));
        generation->listeners[generation->listener_count++] =
            (struct generation_listener){.listener = l};
        l->users++;
    }
    return generation;
}

void inherit_read(const cJSON *state)
{
    const cJSON *item;
    struct error error;

    master.listeners.last_id = (uint32_t)state_number(state, "last_listener", 0);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "listeners"))
        read_listener(item);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "passed"))
    {
        if (!passed_add(item->valueint, &error))
            log_error("%s", error.text);
    }
    generation_resume(resumed_generation(state), (uint64_t)state_number(state, "generation", 0));
}
