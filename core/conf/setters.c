/* The setters of the core's directives that need more than a type. See setters.h.
 *
 * Each reads one statement into the structure of its block. Nothing is opened here: the layers that
 * bind addresses and load modules find out whether they can. */
#include "conf/setters.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/directive.h"
#include "conf/method_name.h"
#include "conf/needs.h"
#include "conf/settings.h"
#include "conf/value.h"
#include "wire/protocol.h"

#define BACKLOG_DEFAULT      4096 /* the default of net.core.somaxconn, too: listen(2) */
#define BACKLOG_MAX          65535
#define UNIX_MODE_DEFAULT    0666 /* as with a TCP port */
#define CONTROL_MODE_DEFAULT 0600

/* `"listen 127.0.0.1:8080" appears twice`. */
static void report_twice(struct conf_apply *apply, const struct conf_statement *statement,
                         const struct conf_word *word, const struct conf_place *first)
{
    struct text what = {0};

    text_printf(&what, "\"%s %s\"", statement->name.text, word->text);
    conf_error_twice(apply, &word->place, first, what.data);
    text_free(&what);
}

/* The value of a parameter that begins with `name`, which ends with "="; or NULL. */
static const char *parameter_value(const struct conf_word *word, const char *name)
{
    size_t size = strlen(name);
    return strncmp(word->text, name, size) == 0 ? word->text + size : NULL;
}

/* ---- main ---- */

/* TARGET of error_log as log_open wants it, or NULL with an error added. */
static const char *read_log_path(struct conf_apply *apply, const struct conf_word *word)
{
    static const char *const facilities[] = {/* as in log.c */
                                             "daemon", "user",   "auth",   "local0",
                                             "local1", "local2", "local3", "local4",
                                             "local5", "local6", "local7", NULL};
    static const char syslog[] = "syslog:";
    struct suggest suggest = suggest_start(word->text);

    if (strcmp(word->text, "stderr") == 0 || strcmp(word->text, "syslog") == 0)
        return word->text;
    if (strcmp(word->text, "stdout") == 0)
        return "/dev/stdout";
    if (strncmp(word->text, syslog, sizeof(syslog) - 1) == 0) {
        struct conf_word facility = {word->text + sizeof(syslog) - 1, word->place};
        return conf_read_enum(apply, "syslog", &facility, facilities) < 0 ? NULL : word->text;
    }
    /* Without this check "stder" would make a file of that name. An operator who wants such a file
     * writes "./stder". */
    suggest_offer(&suggest, "stderr");
    suggest_offer(&suggest, "stdout");
    suggest_offer(&suggest, "syslog");
    bool slip = suggest.nearest != NULL && strchr(word->text, '/') == NULL;
    if (word->text[0] != '\0' && !slip)
        return conf_tree_path(apply->tree, word->text);
    conf_error(apply->errors, &word->place,
               "\"error_log\" must be stderr, syslog or a file's path, not \"%s\"%s", word->text,
               conf_did_you_mean(apply->tree, &suggest));
    return NULL;
}

/* error_log TARGET [LEVEL] [text | json] */
void settings_set_error_log(struct conf_apply *apply, const struct conf_directive *directive,
                            const struct conf_statement *statement, void *target)
{
    static const char *const known[] = {"error", "warn", "notice", "info",
                                        "debug", "text", "json",   NULL};
    enum { LEVELS = 5 };
    struct log_target log = {.level = LOG_INFO_LEVEL, .format = LOG_FORMAT_TEXT};
    bool given[2] = {false, false}; /* level, format */

    if (!conf_check_words(apply, directive, statement, 1, 4))
        return;
    for (size_t i = 1; i < statement->word_count; i++) {
        if (conf_error_semicolon(apply, directive, statement, i))
            return;
        int index = conf_read_enum(apply, "error_log", &statement->words[i], known);
        if (index < 0)
            return;
        bool format = index >= LEVELS;
        if (given[format]) {
            conf_error_unexpected(apply, directive, statement, i);
            return;
        }
        given[format] = true;
        if (format)
            log.format = index == LEVELS ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
        else
            log.level = (enum log_level)index;
    }
    log.path = read_log_path(apply, &statement->words[0]);
    if (log.path != NULL)
        ((struct settings *)target)->log = log;
}

/* Three or four octal digits. */
static bool read_mode(struct conf_apply *apply, const struct conf_word *word, const char *digits,
                      mode_t *mode)
{
    size_t size = strlen(digits);
    char *end;

    *mode = (mode_t)strtoul(digits, &end, 8);
    if (size >= 3 && size <= 4 && *end == '\0' && digits[0] >= '0' && *mode <= 0777)
        return true;
    conf_error(apply->errors, &word->place,
               "\"mode\" must be the rights of a file in octal digits, such as 0660, not \"%s\"",
               digits);
    return false;
}

static bool read_group(struct conf_apply *apply, const struct conf_word *word, const char *name,
                       gid_t *gid)
{
    errno = 0;
    const struct group *group = getgrnam(name);

    if (group != NULL) {
        *gid = group->gr_gid;
        return true;
    }
    /* getgrnam(3) has many an errno for a group that there is not. */
    conf_error(apply->errors, &word->place, "there is no group \"%s\" here%s%s", name,
               errno == EMFILE || errno == ENFILE || errno == EIO ? ": " : "",
               errno == EMFILE || errno == ENFILE || errno == EIO ? strerror(errno) : "");
    return false;
}

/* control PATH [mode=N] [group=G] */
void settings_set_control(struct conf_apply *apply, const struct conf_directive *directive,
                          const struct conf_statement *statement, void *target)
{
    struct settings *settings = target;

    if (!conf_check_words(apply, directive, statement, 1, 3))
        return;
    settings->control_mode = CONTROL_MODE_DEFAULT;
    settings->control_group = (gid_t)-1;
    for (size_t i = 1; i < statement->word_count; i++) {
        const struct conf_word *word = &statement->words[i];
        const char *mode = parameter_value(word, "mode="), *group = parameter_value(word, "group=");
        if (mode == NULL && group == NULL)
            conf_error_unexpected(apply, directive, statement, i);
        else if (mode != NULL)
            read_mode(apply, word, mode, &settings->control_mode);
        else
            read_group(apply, word, group, &settings->control_group);
    }
    const struct conf_directive path = {.name = directive->name, .type = CONF_PATH};
    value_store(apply, &path, &statement->words[0], &settings->control);
}

/* user NAME [GROUP]. The names are looked up only where they will be used: as root. */
void settings_set_user(struct conf_apply *apply, const struct conf_directive *directive,
                       const struct conf_statement *statement, void *target)
{
    struct settings *settings = target;

    if (!conf_check_words(apply, directive, statement, 1, 2))
        return;
    const struct conf_word *user = &statement->words[0];
    const struct conf_word *group = statement->word_count == 2 ? &statement->words[1] : NULL;
    if (geteuid() == 0 && getpwnam(user->text) == NULL)
        conf_error(apply->errors, &user->place, "there is no user \"%s\" on this system",
                   user->text);
    if (geteuid() == 0 && group != NULL && getgrnam(group->text) == NULL)
        conf_error(apply->errors, &group->place, "there is no group \"%s\" on this system",
                   group->text);
    settings->user = user->text;
    settings->group = group == NULL ? NULL : group->text;
}

/* worker_rlimit_core SIZE | unlimited */
void settings_set_rlimit_core(struct conf_apply *apply, const struct conf_directive *directive,
                              const struct conf_statement *statement, void *target)
{
    struct settings *settings = target;

    if (!conf_check_words(apply, directive, statement, 1, 1))
        return;
    settings->core_unlimited = strcmp(statement->words[0].text, "unlimited") == 0;
    settings->core_limited = settings->core_unlimited ||
                             conf_read_size(apply, &statement->words[0], &settings->core_limit);
}

/* The arguments of load_module after its path. False after an error. */
static bool read_module_words(struct conf_apply *apply, const struct conf_directive *directive,
                              const struct conf_statement *statement,
                              struct module_settings *module)
{
    for (size_t i = 1; i < statement->word_count; i++) {
        const struct conf_word *word = &statement->words[i];
        const char *pool = parameter_value(word, "pool=");
        const char *needs = parameter_value(word, "needs=");
        if (pool != NULL && module->pool.name == NULL) {
            module->pool = (struct pool_choice){.name = pool, .word = word};
        } else if (needs == NULL || module->needs_given) {
            conf_error_unexpected(apply, directive, statement, i);
            return false;
        } else if (!needs_read(needs, &module->needs)) {
            conf_error(apply->errors, &word->place,
                       "\"needs=\" takes network, files and processes with commas between them, "
                       "or none, not \"%s\"",
                       needs);
            return false;
        } else {
            module->needs_given = true;
        }
    }
    return true;
}

/* load_module PATH [pool=NAME] [needs=NEED,…] [{ … }] */
void settings_set_load_module(struct conf_apply *apply, const struct conf_directive *directive,
                              const struct conf_statement *statement, void *target)
{
    struct settings *settings = target;
    struct module_settings **tail = &settings->modules;
    unsigned index = 0;

    struct module_settings given = {0};
    if (!conf_check_words(apply, directive, statement, 1, 3) ||
        !read_module_words(apply, directive, statement, &given))
        return;
    const struct conf_word *word = &statement->words[0];
    const char *path = conf_tree_path(apply->tree, word->text);
    const char *label = strrchr(path, '/') + 1;
    if (*label == '\0') {
        conf_error(apply->errors, &word->place,
                   "\"load_module\" needs the path of a file, as in modules/ping.so, not \"%s\"",
                   word->text);
        return;
    }
    for (; *tail != NULL; tail = &(*tail)->next, index++) {
        if (strcmp((*tail)->path, path) == 0) {
            report_twice(apply, statement, word, &(*tail)->place);
            return;
        }
    }
    *tail = pool_must_zalloc(&apply->tree->pool, sizeof(**tail));
    **tail = (struct module_settings){.path = path,
                                      .label = label,
                                      .pool = given.pool,
                                      .needs_given = given.needs_given,
                                      .needs = given.needs,
                                      .block = statement->block,
                                      .place = word->place,
                                      .index = index};
}

/* Whoever sends the header chooses the client's address: that is nothing to allow by default. */
static void check_proxied(struct conf_apply *apply, const struct server_settings *server)
{
    for (const struct listen_settings *l = server->listens; l != NULL; l = l->next) {
        if (l->proxy_protocol && server->proxy_from.count == 0 &&
            strncmp(l->address, "unix:", 5) != 0)
            conf_error(apply->errors, &l->place,
                       "\"listen %s\" with proxy_protocol needs \"proxy_from\" in its server "
                       "block: the addresses of the balancers, as in \"proxy_from 10.0.0.0/8;\"",
                       l->address);
    }
}

/* server { … } */
void settings_set_server(struct conf_apply *apply, const struct conf_directive *directive,
                         const struct conf_statement *statement, void *target)
{
    struct settings *settings = target;
    struct server_settings **tail = &settings->servers;
    unsigned index = 0;

    if (!conf_check_words(apply, directive, statement, 0, 0))
        return;
    if (!statement->has_block) {
        conf_error(apply->errors, &statement->name.place,
                   "\"server\" needs a block, as in \"server { listen 127.0.0.1:8080; … }\"");
        return;
    }
    for (; *tail != NULL; tail = &(*tail)->next)
        index++;
    struct server_settings *server = pool_must_zalloc(&apply->tree->pool, sizeof(*server));
    server->place = statement->name.place;
    server->index = index;
    *tail = server;
    conf_apply(apply, apply->table, CONF_IN_SERVER, "server", &server->place, statement->block,
               server);
    check_proxied(apply, server);
}

/* ---- server ---- */

static bool read_protocol(struct conf_apply *apply, const struct conf_word *word, const char *name,
                          struct listen_settings *listen)
{
    unsigned protocol = protocol_find(name);

    if (protocol == PROTOCOLS) {
        conf_error(apply->errors, &word->place,
                   "\"protocol\" must be auto, frame, line, lsp, http or agent, not \"%s\"", name);
        return false;
    }
    listen->protocol = (uint8_t)protocol;
    return true;
}

static bool read_listen_parameter(struct conf_apply *apply, const struct conf_directive *directive,
                                  const struct conf_statement *statement, size_t index,
                                  struct listen_settings *listen)
{
    const struct conf_word *word = &statement->words[index];
    const char *protocol = parameter_value(word, "protocol=");
    const char *backlog = parameter_value(word, "backlog=");
    const char *mode = parameter_value(word, "mode="), *group = parameter_value(word, "group=");
    int64_t number;

    if (strcmp(word->text, "reuseport") == 0) {
        listen->reuseport = true;
        return true;
    }
    if (strcmp(word->text, "proxy_protocol") == 0) {
        listen->proxy_protocol = true;
        return true;
    }
    if (strcmp(word->text, "ssl") == 0) {
        listen->ssl = true;
        return true;
    }
    if (protocol != NULL)
        return read_protocol(apply, word, protocol, listen);
    if ((mode != NULL || group != NULL) && strncmp(listen->address, "unix:", 5) != 0) {
        conf_error(apply->errors, &word->place, "\"%s\" is for Unix sockets: \"%s\" has no file",
                   mode != NULL ? "mode" : "group", listen->address);
        return false;
    }
    if (mode != NULL)
        return read_mode(apply, word, mode, &listen->mode);
    if (group != NULL)
        return read_group(apply, word, group, &listen->group);
    if (backlog == NULL) {
        conf_error_unexpected(apply, directive, statement, index);
        return false;
    }
    const struct conf_word value = {backlog, word->place};
    if (!conf_read_integer(apply, &value, &number))
        return false;
    if (number < 1 || number > BACKLOG_MAX) {
        conf_error(apply->errors, &word->place, "\"backlog\" must be from 1 to %d, not \"%s\"",
                   BACKLOG_MAX, value.text);
        return false;
    }
    listen->backlog = (int)number;
    return true;
}

/* listen ADDRESS [protocol=P] [ssl] [backlog=N] [reuseport] [proxy_protocol] [mode=N] [group=G].
 * The same address in two servers would let chance decide which of them answers, so all servers are
 * searched for it. */
void settings_set_listen(struct conf_apply *apply, const struct conf_directive *directive,
                         const struct conf_statement *statement, void *target)
{
    struct settings *settings = apply->context;
    struct server_settings *server = target;

    if (!conf_check_words(apply, directive, statement, 1, 8))
        return;
    const struct conf_word *address = &statement->words[0];
    for (struct server_settings *s = settings->servers; s != NULL; s = s->next) {
        for (struct listen_settings *l = s->listens; l != NULL; l = l->next) {
            if (strcmp(l->address, address->text) != 0)
                continue;
            report_twice(apply, statement, address, &l->place);
            return;
        }
    }
    struct listen_settings *listen = pool_must_zalloc(&apply->tree->pool, sizeof(*listen));
    *listen = (struct listen_settings){.address = address->text,
                                       .backlog = BACKLOG_DEFAULT,
                                       .protocol = PROTOCOL_AUTO,
                                       .mode = UNIX_MODE_DEFAULT,
                                       .group = (gid_t)-1,
                                       .place = address->place};
    for (size_t i = 1; i < statement->word_count; i++) {
        if (!read_listen_parameter(apply, directive, statement, i, listen))
            return;
    }
    struct listen_settings **tail = &server->listens;
    while (*tail != NULL)
        tail = &(*tail)->next;
    *tail = listen;
}

/* proxy_from NETWORK … */
void settings_set_proxy_from(struct conf_apply *apply, const struct conf_directive *directive,
                             const struct conf_statement *statement, void *target)
{
    struct network_settings *from = &((struct server_settings *)target)->proxy_from;
    struct error error;

    if (!conf_check_words(apply, directive, statement, 1, SIZE_MAX))
        return;
    struct network *all =
        pool_must_zalloc(&apply->tree->pool, (from->count + statement->word_count) * sizeof(*all));
    if (from->count > 0)
        memcpy(all, from->networks, from->count * sizeof(*all));
    from->networks = all;
    for (size_t i = 0; i < statement->word_count; i++) {
        if (!network_parse(statement->words[i].text, &all[from->count++], &error))
            conf_error(apply->errors, &statement->words[i].place, "%s", error.text);
    }
}

/* Makes the method that the statement's first word names, and applies the core's directives in its
 * block. NULL with an error added. */
static struct method_settings *add_method(struct conf_apply *apply,
                                          const struct conf_statement *statement,
                                          struct server_settings *server)
{
    struct method_settings **tail = &server->methods;
    const struct conf_word *name = &statement->words[0];
    const char *fault = method_name_fault(name->text);

    if (fault != NULL) {
        conf_error(apply->errors, &name->place, "the method's name %s", fault);
        return NULL;
    }
    for (; *tail != NULL; tail = &(*tail)->next) {
        if (strcmp((*tail)->name, name->text) != 0)
            continue;
        report_twice(apply, statement, name, &(*tail)->place);
        return NULL;
    }
    struct method_settings *method = pool_must_zalloc(&apply->tree->pool, sizeof(*method));
    method->name = name->text;
    method->place = name->place;
    method->block = statement->block;
    method->found = statement->found;
    method->slow_threshold_ms = SLOW_AS_SERVER;
    *tail = method;
    /* The handler's own directives are read when it is known: module/bind.c. */
    struct conf_apply own = *apply;
    own.leave_unknown = true;
    conf_apply(&own, apply->table, CONF_IN_METHOD, "method", &method->place, statement->block,
               method);
    return method;
}

/* method NAME [{ handler MODULE.METHOD; timeout TIME; }] */
void settings_set_method(struct conf_apply *apply, const struct conf_directive *directive,
                         const struct conf_statement *statement, void *target)
{
    if (conf_check_words(apply, directive, statement, 1, 1))
        add_method(apply, statement, target);
}

/* MODULE_method NAME [WORD …] [{ timeout TIME; … }] */
void settings_set_module_method(struct conf_apply *apply, const struct conf_directive *directive,
                                const struct conf_statement *statement, void *target)
{
    size_t suffix = strlen(directive->name) - (sizeof(CONF_ANY_MODULE) - 1);
    struct pool *pool = &apply->tree->pool;

    if (!conf_check_words(apply, directive, statement, 1, SIZE_MAX))
        return;
    struct method_settings *method = add_method(apply, statement, target);
    if (method == NULL)
        return;
    if (method->handler != NULL)
        conf_error(apply->errors, &method->handler_place,
                   "\"%s\" says which handler it is; write \"method %s { handler %s; … }\" for "
                   "another one",
                   statement->name.text, method->name, method->handler);
    method->module =
        pool_must_strndup(pool, statement->name.text, strlen(statement->name.text) - suffix);
    method->handler_place = statement->name.place;
    if (statement->word_count == 1)
        return;
    method->words = pool_must_zalloc(pool, sizeof(*method->words));
    *method->words = (struct conf_statement){
        .name = {"", statement->words[1].place},
        .words = statement->words + 1,
        .word_count = statement->word_count - 1,
        .next = statement->block,
    };
    method->block = method->words;
}

/* filter NAME [{ … }] */
void settings_set_filter(struct conf_apply *apply, const struct conf_directive *directive,
                         const struct conf_statement *statement, void *target)
{
    struct filter_settings **tail =
        (struct filter_settings **)(void *)((char *)target + directive->offset);

    if (!conf_check_words(apply, directive, statement, 1, 1))
        return;
    struct filter_settings *filter = pool_must_zalloc(&apply->tree->pool, sizeof(*filter));
    filter->name = statement->words[0].text;
    filter->place = statement->words[0].place;
    filter->block = statement->block;
    while (*tail != NULL)
        tail = &(*tail)->next;
    *tail = filter;
}

/* handler MODULE.METHOD */
void settings_set_handler(struct conf_apply *apply, const struct conf_directive *directive,
                          const struct conf_statement *statement, void *target)
{
    struct method_settings *method = target;

    if (!conf_check_words(apply, directive, statement, 1, 1))
        return;
    const struct conf_word *word = &statement->words[0];
    const char *dot = strchr(word->text, '.');
    if (dot == NULL || dot == word->text || dot[1] == '\0') {
        conf_error(apply->errors, &word->place,
                   "a handler is a module's name, a dot and the name of one of its methods, as in "
                   "hello.greet, not \"%s\"",
                   word->text);
        return;
    }
    method->handler = word->text;
    method->handler_place = word->place;
}

/* declares JSON [lenient]. The JSON is read where it is used: module/declared.c. */
void settings_set_declares(struct conf_apply *apply, const struct conf_directive *directive,
                           const struct conf_statement *statement, void *target)
{
    struct method_settings *method = target;

    if (!conf_check_words(apply, directive, statement, 1, 2))
        return;
    if (statement->word_count == 2 && strcmp(statement->words[1].text, "lenient") != 0) {
        conf_error_unexpected(apply, directive, statement, 1);
        return;
    }
    method->declares = statement->words[0].text;
    method->declares_lenient = statement->word_count == 2;
    method->declares_place = statement->words[0].place;
}
