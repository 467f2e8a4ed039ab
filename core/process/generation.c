/* Building generations. See generation.h. */
#include "process/generation.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/log.h"
#include "base/log_file.h"
#include "base/memory.h"
#include "base/sealed.h"
#include "conf/parser.h"
#include "conf/settings_table.h"
#include "process/gateway.h"
#include "process/name_advice.h"
#include "process/preflight.h"
#include "process/zones.h"
#include "rpc/mcp.h"
#include "rpc/status.h"
#include "wire/protocol.h"

/* Address space for an arena's blocks when `arena_size` is auto. Pages take memory only when they
 * are used, so a large number costs nothing. */
#define FEW_CLIENTS    1024u /* so few are hardly meant */
#define ARENA_AUTO_MIN (1ull << 30)

/* An arena has room for at least so many of the largest frames. (Its reply may take as much
 * again.) */
#define ARENA_FRAMES_MIN 8u

/* An arena with so many times the blocks in use has room enough to take over their bytes: a quarter
 * is kept back (net/conn_private.h), sizes are powers of two, and more bytes arrive meanwhile. */
#define BLOCKS_TO_MOVE 2u

struct conf_tree *generation_configure(const struct serve_options *options,
                                       struct settings **settings, struct conf_errors *errors)
{
    struct conf_tree *tree = conf_tree_new(options->prefix);
    bool good = true;

    if (options->directives != NULL)
        good = conf_tree_add_text(tree, "-g", bytes_of(options->directives), true, errors);
    good = conf_tree_add_file(tree, options->conf, errors) && good;
    *settings = pool_must_zalloc(&tree->pool, sizeof(**settings));
    /* Even after errors of grammar, to report errors of meaning in the same run. */
    if (settings_read(tree, *settings, errors) && good)
        return tree;
    conf_tree_free(tree);
    return NULL;
}

/* The same from the configuration that `again` was made from, as it is in use. */
static struct conf_tree *configure_again(const struct generation *again, const char *prefix,
                                         struct settings **settings, struct conf_errors *errors)
{
    struct conf_tree *tree = conf_tree_new(prefix);
    struct text directives = {0}, text = {0};

    conf_tree_write_given(again->tree, true, &directives);
    conf_tree_write_given(again->tree, false, &text);
    *settings = pool_must_zalloc(&tree->pool, sizeof(**settings));
    bool good = conf_tree_add_text(tree, "-g", bytes_of(text_string(&directives)), true, errors) &&
                conf_tree_add_text(tree, "the configuration in use", bytes_of(text_string(&text)),
                                   false, errors) &&
                settings_read(tree, *settings, errors);
    text_free(&directives);
    text_free(&text);
    if (good)
        return tree;
    conf_tree_free(tree);
    return NULL;
}

/* Adds the methods of `proxy_all`, and reads the settings anew. Whatever is wrong with found
 * methods, the configuration without them is right. */
static void add_found(struct generation *generation, const struct generation_basis *basis)
{
    struct conf_tree *tree = generation->tree;
    struct conf_errors errors = {0};

    if (!gateway_wanted(generation->settings))
        return;
    gateway_look(generation->settings, basis->directory, &generation->found);
    if (gateway_add(tree, generation->settings, basis->directory, basis->board) == 0)
        return;
    struct settings *settings = pool_must_zalloc(&tree->pool, sizeof(*settings));
    if (settings_read(tree, settings, &errors)) {
        generation->settings = settings;
    } else {
        log_error("the methods of proxy_all are left out:");
        log_error_lines(text_string(&errors.text));
        gateway_take_back(tree);
    }
    conf_errors_free(&errors);
}

/* ---- Modules ---- */

/* A descriptor of the copy that `again` has of a module, or -1. */
static int copy_of(const struct generation *again, const char *path)
{
    for (size_t i = 0; again != NULL && i < again->module_file_count; i++) {
        const struct module_file *file = &again->module_files[i];
        if (file->fd >= 0 && strcmp(file->settings->path, path) == 0)
            return fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
    }
    return -1;
}

static bool seal_modules(struct generation *generation, const struct generation *again,
                         struct conf_errors *errors)
{
    const struct settings *settings = generation->settings;
    struct error error;
    bool good = true;

    for (struct module_settings *m = settings->modules; m != NULL; m = m->next)
        generation->module_file_count++;
    generation->module_files =
        must_zalloc(generation->module_file_count * sizeof(*generation->module_files));
    size_t i = 0;
    for (struct module_settings *m = settings->modules; m != NULL; m = m->next, i++) {
        generation->module_files[i] = (struct module_file){.settings = m, .fd = -1};
        int fd = copy_of(again, m->path);
        if (fd < 0)
            fd = sealed_copy(m->path, &error);
        if (fd < 0) {
            conf_error(errors, &m->place, "cannot load the module %s: %s", m->path, error.text);
            good = false;
        } else if (settings->pin_modules && descriptors_have_names()) {
            generation->module_files[i].fd = fd;
        } else {
            close(fd);
        }
    }
    return good;
}

/* A place for what the probe reads of files that directives name. */
static int place_for_files(const struct generation *again)
{
    struct error error;

    if (again != NULL && again->files >= 0)
        return fcntl(again->files, F_DUPFD_CLOEXEC, 0);
    int fd = sealed_later("files", &error);
    if (fd < 0)
        log_warn("each worker reads the files of directives by itself: %s", error.text);
    return fd;
}

/* ---- Arenas ---- */

static uint64_t largest_frame(const struct settings *settings)
{
    uint64_t largest = 0;

    for (struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        uint64_t size = protocol_largest(s->max_frame, s->max_head);
        if (size > largest)
            largest = size;
    }
    return BLOCK_BYTES(block_order(largest));
}

/* The share of each of `of` workers when they take over from `slots` workers with `each` each. */
static uint64_t share(uint64_t each, uint32_t slots, uint32_t of)
{
    return (each * slots + of - 1) / of;
}

static bool plan_arena(struct generation *generation, const struct generation_load *load,
                       struct conf_errors *errors)
{
    const struct settings *settings = generation->settings;
    uint64_t needed = largest_frame(settings) * ARENA_FRAMES_MIN;
    uint64_t size = settings->arena_size;
    /* Twice as many as it accepts: a worker may take over another one's connections beside its
     * own. */
    uint64_t records = (uint64_t)generation->capacity.connections * 2;

    if (size == 0)
        size = needed > ARENA_AUTO_MIN ? needed : ARENA_AUTO_MIN;
    if (size < needed) {
        const struct conf_place place = settings_place(generation->tree, "arena_size");
        conf_error(errors, &place,
                   "arena_size is %llu bytes, but frames of max_frame need at least %llu (%u times "
                   "the largest frame, rounded up to a power of two); raise arena_size or lower "
                   "max_frame",
                   (unsigned long long)size, (unsigned long long)needed, ARENA_FRAMES_MIN);
        return false;
    }
    uint64_t blocks = size / BLOCK_SIZE;
    if (load != NULL) {
        /* Room to take over the present connections; it does not carry over to the next
         * generation. */
        records += share(load->records, load->slots, generation->slots) + load->slots;
        uint64_t more = share(load->blocks, load->slots, generation->slots) * BLOCKS_TO_MOVE;
        blocks = more > blocks ? more : blocks;
    }
    generation->geometry = (struct arena_geometry){
        .records = (uint32_t)(records > UINT32_MAX / 2 ? UINT32_MAX / 2 : records),
        .blocks = (uint32_t)(blocks > UINT32_MAX / 2 ? UINT32_MAX / 2 : blocks),
    };
    return preflight_limits(generation->tree, arena_bytes(&generation->geometry), errors);
}

/* ---- Capacity ---- */

void generation_measure(struct generation *generation)
{
    const struct settings *settings = generation->settings;
    struct capacity_plan plan = {
        .workers = generation->slots,
        .connections = (uint32_t)settings->worker_connections,
        .vaults = (uint32_t)settings->vault_processes,
        .descriptors = (uint32_t)generation->module_file_count + 1, /* and `files` */
        .worker_files = open_files_possible((uint64_t)settings->worker_rlimit_nofile),
    };
    uint64_t hard = open_files_possible(0);

    plan.master_files = hard;
    plan.vault_files = plan.worker_files > hard ? plan.worker_files : hard;
    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        for (const struct listen_settings *l = s->listens; l != NULL; l = l->next)
            plan.descriptors += l->reuseport ? generation->slots : 1;
    }
    capacity_find(&plan, &generation->capacity);
    generation->capacity.vault_files = plan.vault_files;
    /* The default of worker_connections is no wish of the operator's. Explain a number that was
     * given, and any number of clients that is small. */
    uint64_t clients = (uint64_t)generation->capacity.connections * generation->slots;
    if (generation->tree != NULL &&
        (clients < FEW_CLIENTS || settings_give(generation->tree, "worker_connections")))
        capacity_explain(&plan, &generation->capacity, capacity_system_files(),
                         &generation->advice);
}

/* ---- Methods ---- */

static bool is_among(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

#define OWN_METHODS 3u /* that each server has beside its own */

/* Checks that all methods fit on an empty board. (Names of former configurations may fill it
 * earlier: generation_register.) */
static bool check_methods(const struct settings *settings, struct conf_errors *errors)
{
    const char *names[BOARD_METHODS_MAX] = {MCP_METHOD, STATUS_METRICS_METHOD, STATUS_METHOD};
    size_t count = OWN_METHODS;

    for (struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        for (struct method_settings *m = s->methods; m != NULL; m = m->next) {
            if (is_among(names, count, m->name))
                continue;
            if (count == BOARD_METHODS_MAX) {
                conf_error(errors, &m->place,
                           "\"%s\" is one method too many: there may be %u of different names, in "
                           "all server blocks together",
                           m->name, BOARD_METHODS_MAX - OWN_METHODS);
                return false;
            }
            names[count++] = m->name;
        }
    }
    return true;
}

struct generation *generation_build(const struct serve_options *options, uint64_t number,
                                    const struct generation_basis *basis,
                                    struct conf_errors *errors)
{
    struct generation *generation = must_zalloc(sizeof(*generation));
    struct error error;

    generation->number = number;
    generation->users = 1;
    generation->log = -1;
    generation->files = -1;
    generation->tree =
        basis->again == NULL
            ? generation_configure(options, &generation->settings, errors)
            : configure_again(basis->again, options->prefix, &generation->settings, errors);
    if (generation->tree == NULL) {
        free(generation);
        return NULL;
    }
    add_found(generation, basis);
    generation->slots = (uint32_t)generation->settings->worker_processes;
    bool good = preflight_system(errors);
    good = preflight_writers(generation->tree, generation->settings, errors) && good;
    good =
        preflight_addresses(generation->tree, generation->settings, &generation->hearing, errors) &&
        good;
    good = preflight_registry(generation->tree, generation->settings, &generation->registering,
                              &generation->advice, errors) &&
           good;
    good = preflight_processors(generation->tree, generation->settings, errors) && good;
    good = check_methods(generation->settings, errors) && good;
    good = seal_modules(generation, basis->again, errors) && good;
    generation->files = place_for_files(basis->again);
    generation_measure(generation);
    good = plan_arena(generation, basis->load, errors) && good;
    good = zones_make(generation->settings, errors) && good;
    if (!identity_resolve(generation->settings, &generation->identity, &error)) {
        const struct conf_place place = settings_place(generation->tree, "user");
        conf_error(errors, &place, "%s", error.text);
        good = false;
    }
    log_file_distrust(generation->identity.user);
    if (good) {
        name_advise(generation->settings, &generation->advice);
        preflight_advise(&generation->advice);
        return generation;
    }
    generation_release(generation);
    return NULL;
}

/* ---- Listeners ---- */

/* The listener of another address that conflicts with this one as long as the former generation has
 * it, or NULL. */
static const struct listener *in_the_way(const struct listeners *listeners,
                                         const struct address *address, bool reuseport)
{
    for (const struct listener *l = listeners->first; l != NULL; l = l->next) {
        if (strcmp(l->address.text, address->text) != 0 &&
            preflight_conflict(&l->address, l->reuseport, address, reuseport))
            return l;
    }
    return NULL;
}

/* Binds an address anew whose socket clients cannot reach any more. The new listener has the former
 * one's id, so it inherits its connections, whose records name the listener. */
static struct listener *listen_anew(struct listeners *listeners, const struct listener *former,
                                    const struct listen_settings *listen, struct error *error)
{
    struct listener *listener = listener_open(listeners, &former->address, listen, 1, error);

    if (listener != NULL) {
        listener->id = former->id;
        log_notice(
            "%s did not lead to this server any more, or was shut down: its file is made anew",
            former->address.text);
    }
    return listener;
}

static bool listen_on(struct generation *generation, struct listeners *listeners,
                      const struct heard *heard, struct conf_errors *errors)
{
    const struct listen_settings *listen = heard->listen;
    const struct address *address = &heard->address;
    struct error error;

    struct listener *listener = listener_find(listeners, address);
    const struct listener *other = in_the_way(listeners, address, listen->reuseport);
    if (listener == NULL && other != NULL) {
        conf_error(errors, &listen->place,
                   "%s cannot be listened on, because this server listens on %s until the new "
                   "configuration is in use; keep that address, or restart the server",
                   address->text, other->address.text);
        return false;
    }
    if (listener == NULL)
        listener = listener_open(listeners, address, listen, generation->slots, &error);
    else if (!listener_is_reached(listener))
        listener = listen_anew(listeners, listener, listen, &error);
    else if (!listener_mend(listener, &error) ||
             !listener_prepare(listener, listen->reuseport, generation->slots, &error)) {
        listener_revert(listener);
        listener = NULL;
    }
    if (listener != NULL && listen->ssl && !listener_hand_over(listener, &error)) {
        if (listener->users == 0)
            listener_close(listeners, listener, true);
        else
            listener_revert(listener);
        listener = NULL;
    }
    if (listener == NULL) {
        conf_error(errors, &listen->place, "%s", error.text);
        return false;
    }
    listener->users++;
    generation->listeners = must_realloc(generation->listeners, (generation->listener_count + 1) *
                                                                    sizeof(*generation->listeners));
    generation->listeners[generation->listener_count++] = (struct generation_listener){
        .listener = listener,
        .settings = listen,
        .server = heard->server,
        .backlog = listen->backlog,
        .count = listener->count,
        .reuseport = listen->reuseport,
        .protocol = listen->protocol,
        .proxied = listen->proxy_protocol,
        .ssl = listen->ssl,
    };
    return true;
}

bool generation_listen(struct generation *generation, struct listeners *listeners,
                       struct conf_errors *errors)
{
    bool good = true;

    for (size_t i = 0; i < generation->hearing.count; i++)
        good = listen_on(generation, listeners, &generation->hearing.items[i], errors) && good;
    return good;
}

void generation_accept(struct generation *generation, struct conf_errors *errors)
{
    struct error error;

    for (size_t i = 0; i < generation->listener_count; i++) {
        const struct generation_listener *l = &generation->listeners[i];
        if (!listener_commit(l->listener, l->settings, &error))
            conf_error(errors, NULL, "%s", error.text);
    }
}

void generation_unlisten(struct generation *generation, struct listeners *listeners)
{
    for (size_t i = 0; i < generation->listener_count; i++) {
        struct listener *listener = generation->listeners[i].listener;
        if (--listener->users > 0) {
            listener_revert(listener);
            continue;
        }
        listener_retire(listener);
        listener_close(listeners, listener, true);
    }
    generation->listener_count = 0;
}

/* ---- The rest ---- */

bool generation_open_log(struct generation *generation, struct conf_errors *errors)
{
    const struct log_target *target = &generation->settings->log;
    struct error error;

    if (generation->log >= 0)
        close(generation->log);
    if (log_prepare(target, &generation->log, &error))
        return true;
    if (log_is_at(target->path)) {
        log_error("%s; the log goes on where it was", error.text);
        return true;
    }
    const struct conf_place place = settings_place(generation->tree, "error_log");
    conf_error(errors, &place, "%s", error.text);
    return false;
}

/* Some of the room is kept for names to come. */
static void count_method_apart(struct board *board, const char *server, const char *name)
{
    if (board_methods_known(board) < BOARD_METHODS_MAX - BOARD_METHODS_KEPT)
        board_add_server_method(board, server, name);
}

/* Gives each server's methods counters of their own, as far as there is room. */
static void count_apart(const struct settings *settings, struct board *board)
{
    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        count_method_apart(board, board_server(s), MCP_METHOD);
        count_method_apart(board, board_server(s), STATUS_METHOD);
        for (const struct method_settings *m = s->methods; m != NULL; m = m->next)
            count_method_apart(board, board_server(s), m->name);
    }
}

bool generation_register(struct generation *generation, struct board *board,
                         struct conf_errors *errors)
{
    generation->methods_before = board_methods_known(board);
    generation->registered = true;
    const struct server_settings *first = generation->settings->servers;
    /* The first, so that there is room for them. Then each name; servers count apart with what room
     * is left. */
    board_add_server_method(board, board_server(first), MCP_METHOD);
    board_add_server_method(board, board_server(first), STATUS_METRICS_METHOD);
    board_add_server_method(board, board_server(first), STATUS_METHOD);
    for (struct server_settings *s = generation->settings->servers; s != NULL; s = s->next) {
        for (struct method_settings *m = s->methods; m != NULL; m = m->next) {
            if (board_find_method(board, bytes_of(m->name)) != BOARD_NO_METHOD ||
                board_add_server_method(board, board_server(s), m->name) != BOARD_NO_METHOD)
                continue;
            conf_error(
                errors, &m->place,
                "there have been %u different methods since the server was started, those of "
                "former configurations counted, and there can be no more; restart the server, or "
                "upgrade it, if only to the same binary",
                BOARD_METHODS_MAX - OWN_METHODS);
            return false;
        }
    }
    count_apart(generation->settings, board);
    return true;
}

void generation_unregister(struct generation *generation, struct board *board)
{
    if (generation->registered)
        board_forget_methods(board, generation->methods_before);
    generation->registered = false;
}

bool generation_crowded_out(const struct generation *generation, const struct board *board)
{
    uint32_t known = board_methods_known(board), own = OWN_METHODS;

    for (const struct server_settings *s = generation->settings->servers; s != NULL; s = s->next) {
        own += OWN_METHODS; /* at most: they are counted apart */
        for (const struct method_settings *m = s->methods; m != NULL; m = m->next)
            own++;
    }
    return known >= BOARD_METHODS_MAX - BOARD_METHODS_KEPT && known >= own + BOARD_METHODS_KEPT;
}

void generation_release(struct generation *generation)
{
    if (--generation->users > 0)
        return;
    for (size_t i = 0; i < generation->module_file_count; i++) {
        if (generation->module_files[i].fd >= 0)
            close(generation->module_files[i].fd);
    }
    if (generation->files >= 0)
        close(generation->files);
    if (generation->log >= 0)
        close(generation->log);
    free(generation->module_files);
    free(generation->listeners);
    free(generation->heirs);
    free(generation->hearing.items);
    free(generation->registering.items);
    text_free(&generation->advice);
    text_free(&generation->found);
    conf_tree_free(generation->tree); /* a resumed one has none */
    free(generation);
}
