/* What `proxy_all` stands for. See gateway.h. */
#include "process/gateway.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "conf/method_name.h"
#include "conf/parser.h"
#include "process/gateway_methods.h"
#include "process/service_room.h"
#include "rpc/mcp.h"
#include "rpc/status.h"

#define TEXT_MAX (CONF_SOURCE_MAX / 2) /* of the statements of one `proxy_all` */
/* Names in a server's life, those of the configuration counted, until no more are found: whoever
 * writes into the registry must not keep the operator from adding a method. */
#define FOUND_MAX (BOARD_METHODS_MAX - BOARD_METHODS_KEPT)

bool gateway_wanted(const struct settings *settings)
{
    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        if (s->proxy_alls != NULL)
            return true;
    }
    return false;
}

void gateway_services(const struct settings *settings,
                      void (*each)(const char *service, void *data), void *data)
{
    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        for (const struct proxy_all_settings *p = s->proxy_alls; p != NULL; p = p->next)
            each(p->service, data);
    }
}

/* The service that the server is a part of: a gateway would call itself. One that registers no
 * address is part of none, whatever its `prefix`. */
static const char *own_service(const struct settings *settings)
{
    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        if (s->registers != NULL && settings->registry != NULL)
            return settings->registry->prefix;
    }
    return NULL;
}

/* ---- Looking ---- */

/* FNV-1a, 64 bits: tells texts apart that do not fit into a line. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

struct looking {
    const struct settings *settings;
    const struct directory *directory;
    struct text *found;
    bool known; /* all services so far */
};

static void look_at(const char *service, void *data)
{
    struct looking *looking = data;
    struct gateway_methods methods;

    looking->known &= gateway_methods_read(looking->directory, service,
                                           own_service(looking->settings), &methods, NULL);
    for (size_t i = 0; i < methods.count; i++) {
        const struct gateway_method *it = &methods.items[i];
        text_printf(looking->found, "%s %016llx%016llx %s\n", service,
                    (unsigned long long)hash_of(it->name), (unsigned long long)hash_of(it->about),
                    it->service);
    }
    gateway_methods_free(&methods);
}

bool gateway_look(const struct settings *settings, const struct directory *directory,
                  struct text *found)
{
    struct looking looking = {settings, directory, found, true};

    gateway_services(settings, look_at, &looking);
    return looking.known;
}

bool gateway_only_lacks(const struct text *before, const struct text *now)
{
    const char *old = text_string(before);

    /* Both are in the same order. */
    for (const char *line = text_string(now); *line != '\0'; line = strchr(line, '\n') + 1) {
        size_t size = strcspn(line, "\n") + 1;
        while (*old != '\0' && strncmp(old, line, size) != 0)
            old = strchr(old, '\n') + 1;
        if (*old == '\0')
            return false;
    }
    return true;
}

/* ---- Names ---- */

/* The names that the server's methods have, of all server blocks together. */
struct names {
    const char **items; /* as many as there may be */
    size_t count;
    size_t unknown; /* those of them that the board does not know */
    size_t known;   /* the names on the board */
    const struct board *board;
};

static bool has_name(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], name) == 0)
            return true;
    }
    return false;
}

/* Notes a name that methods of the server have. False when there is no room for it, in `most` names
 * of the server's life. */
static bool note_name(struct names *names, const char *name, size_t most)
{
    if (has_name(names, name))
        return true;
    bool fresh =
        names->board == NULL || board_find_method(names->board, bytes_of(name)) == BOARD_NO_METHOD;
    if (names->count == BOARD_METHODS_MAX || (fresh && names->known + names->unknown >= most))
        return false;
    names->items[names->count++] = name;
    names->unknown += fresh;
    return true;
}

static void note_given(struct names *names, const struct settings *settings)
{
    note_name(names, MCP_METHOD, BOARD_METHODS_MAX);
    note_name(names, STATUS_METRICS_METHOD, BOARD_METHODS_MAX);
    note_name(names, STATUS_METHOD, BOARD_METHODS_MAX);
    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        for (const struct method_settings *m = s->methods; m != NULL; m = m->next)
            note_name(names, m->name, BOARD_METHODS_MAX);
    }
}

/* ---- Statements ---- */

static void append_word(struct text *text, const char *word)
{
    text_append_string(text, " \"");
    for (const char *c = word; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            text_append_char(text, '\\');
        text_append_char(text, *c);
    }
    text_append_char(text, '"');
}

static void append_method(struct text *text, const struct gateway_method *method)
{
    char upstream[DIRECTORY_NAME_MAX + 32];

    snprintf(upstream, sizeof(upstream), "registry:%s", method->service);
    text_append_string(text, "method");
    append_word(text, method->name);
    text_append_string(text, " { handler proxy.forward; upstream");
    append_word(text, upstream);
    text_append_string(text, "; declares");
    append_word(text, method->about);
    text_append_string(text, " lenient; }\n");
}

static bool is_given(const struct server_settings *server, const char *name)
{
    for (const struct method_settings *m = server->methods; m != NULL; m = m->next) {
        if (strcmp(m->name, name) == 0)
            return true;
    }
    return false;
}

/* Where statements are added. */
struct adding {
    struct conf_tree *tree;
    const struct server_settings *server;
    struct conf_statement *statement; /* of the server block */
    struct names *names;
    struct names taken; /* the found names of this server block */
    struct service_room *services;
    size_t added;
};

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(const char *const *)one, *(const char *const *)other);
}

/* Takes room for the services of the methods, in the order of their names, so that all gateways of
 * one configuration serve the same ones. Tells of those that find none. */
static void take_services(struct adding *adding, const struct gateway_methods *methods,
                          const char *below)
{
    const char **paths = must_zalloc((methods->count + 1) * sizeof(*paths));
    const char *first = NULL;
    size_t left_out = 0;

    for (size_t i = 0; i < methods->count; i++)
        paths[i] = methods->items[i].service;
    if (methods->count > 0)
        qsort(paths, methods->count, sizeof(*paths), compare_names);
    for (size_t i = 0; i < methods->count; i++) {
        if (i > 0 && strcmp(paths[i], paths[i - 1]) == 0)
            continue;
        char *name = must_printf("registry:%s", paths[i]);
        if (!service_room_take(adding->services, pool_must_strdup(&adding->tree->pool, name))) {
            first = first == NULL ? paths[i] : first;
            left_out++;
        }
        free(name);
    }
    if (left_out > 0)
        log_error("%s has more services than a server asks for, which is %u with all that its "
                  "configuration names: %zu are left out with their methods, from %s on",
                  below, DIRECTORY_SERVICES_MAX, left_out, first);
    free(paths);
}

/* Whether the server block is to have a method that was found. */
static bool is_taken(struct adding *adding, const struct gateway_method *method, size_t size,
                     size_t *left_out)
{
    const char *fault = method_name_fault(method->name);

    if (strncmp(method->name, "rpc.", 4) == 0 || is_given(adding->server, method->name) ||
        has_name(&adding->taken, method->name) ||
        !service_room_has(adding->services, method->service))
        return false;
    if (fault != NULL) {
        log_warn("proxy_all: a method of %s is left out: its name %s", method->service, fault);
        return false;
    }
    const char *name = pool_must_strdup(&adding->tree->pool, method->name);
    if (adding->taken.count < BOARD_METHODS_MAX && size < TEXT_MAX &&
        note_name(adding->names, name, FOUND_MAX)) {
        adding->taken.items[adding->taken.count++] = name;
        return true;
    }
    ++*left_out;
    return false;
}

/* Parses the text, and moves its statements into the server block; `block` follows in the block of
 * each. */
static void add_text(struct adding *adding, const struct proxy_all_settings *all,
                     const struct text *text)
{
    struct conf_statement **end = &adding->tree->statements, **to = &adding->statement->block;
    struct conf_errors errors = {0};

    while (*end != NULL)
        end = &(*end)->next;
    while (*to != NULL)
        to = &(*to)->next;
    if (!conf_tree_add_text(adding->tree, all->service, (struct bytes){text->data, text->size},
                            false, &errors)) {
        log_error("the methods of %s are left out:", all->service);
        log_error_lines(text_string(&errors.text));
        adding->tree->damaged = false;
        *end = NULL;
    }
    conf_errors_free(&errors);
    for (struct conf_statement *s = *end; s != NULL; s = s->next) {
        struct conf_statement *last = s->block;
        while (last->next != NULL)
            last = last->next;
        last->next = (struct conf_statement *)(uintptr_t)all->block;
        s->found = true;
        adding->added++;
    }
    *to = *end;
    *end = NULL;
}

static void add_all(struct adding *adding, const struct proxy_all_settings *all,
                    const struct settings *settings, const struct directory *directory)
{
    struct text text = {0}, faults = {0};
    struct gateway_methods methods;
    size_t left_out = 0;

    bool known =
        gateway_methods_read(directory, all->service, own_service(settings), &methods, &faults);
    take_services(adding, &methods, all->service);
    for (size_t i = 0; i < methods.count; i++) {
        if (is_taken(adding, &methods.items[i], text.size, &left_out))
            append_method(&text, &methods.items[i]);
    }
    for (const char *line = text_string(&faults); *line != '\0'; line += strcspn(line, "\n") + 1)
        log_warn("proxy_all: %.*s", (int)strcspn(line, "\n"), line);
    if (left_out > 0)
        log_error("%zu methods of %s are left out: there can be %u different methods in the life "
                  "of a server, those of former configurations counted; upgrade it, if only to the "
                  "same binary, or name what it is to serve",
                  left_out, all->service, FOUND_MAX);
    if (!known && directory != NULL)
        log_notice("nobody knows yet which methods %s has: they are served as soon as they are "
                   "found",
                   all->service);
    if (text.size > 0)
        add_text(adding, all, &text);
    text_free(&text);
    text_free(&faults);
    gateway_methods_free(&methods);
}

static struct conf_statement *statement_of(const struct conf_tree *tree,
                                           const struct server_settings *server)
{
    struct conf_statement *s = tree->statements;

    while (s != NULL && (s->name.place.source != server->place.source ||
                         s->name.place.offset != server->place.offset))
        s = s->next;
    return s;
}

size_t gateway_add(struct conf_tree *tree, const struct settings *settings,
                   const struct directory *directory, const struct board *board)
{
    struct names names = {.board = board,
                          .known = board == NULL ? 0 : board_methods_known(board),
                          .items = must_zalloc(BOARD_METHODS_MAX * sizeof(char *))};
    struct service_room services;
    size_t added = 0;

    note_given(&names, settings);
    service_room_begin(&services, tree);
    for (const struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        struct adding adding = {.tree = tree,
                                .server = s,
                                .statement = statement_of(tree, s),
                                .names = &names,
                                .services = &services,
                                .taken.items = must_zalloc(BOARD_METHODS_MAX * sizeof(char *))};
        for (const struct proxy_all_settings *p = s->proxy_alls;
             p != NULL && adding.statement != NULL; p = p->next)
            add_all(&adding, p, settings, directory);
        added += adding.added;
        free(adding.taken.items);
    }
    free(names.items);
    return added;
}

void gateway_take_back(struct conf_tree *tree)
{
    for (struct conf_statement *s = tree->statements; s != NULL; s = s->next) {
        struct conf_statement **at = &s->block;
        while (*at != NULL) {
            if ((*at)->found)
                *at = (*at)->next;
            else
                at = &(*at)->next;
        }
    }
}
