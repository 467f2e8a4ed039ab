/* Statements against a table of directives. See directive.h.
 *
 * Knows names, contexts, repetition and the number of arguments. value.c reads the words'
 * meaning. */
#include "conf/directive.h"

#include <stdlib.h>

/* The kinds of block, as errors name them. */
static const struct {
    enum conf_context context;
    const char *name;
} contexts[] = {
    {CONF_IN_MAIN, "main, outside every block"}, {CONF_IN_SERVER, "a server block"},
    {CONF_IN_METHOD, "a method block"},          {CONF_IN_MODULE, "the block of load_module"},
    {CONF_IN_FILTER, "the block of filter"},     {CONF_IN_REGISTRY, "the block of registry"},
};

/* The arguments of conf_apply, while it applies a block. */
struct scope {
    struct conf_apply *apply;
    const struct conf_directive *table;
    enum conf_context context;
    const char *where;
    const struct conf_place *place; /* never NULL; `source` may be */
    void *target;
};

const char *conf_syntax(const struct conf_directive *directive)
{
    static char derived[256];
    static const char *const plain[] = {
        [CONF_FLAG] = "on | off", [CONF_INTEGER] = "N",     [CONF_SIZE] = "SIZE",
        [CONF_TIME] = "TIME",     [CONF_STRING] = "STRING", [CONF_PATH] = "PATH",
        [CONF_ENUM] = "",         [CONF_LIST] = "WORD …",   [CONF_FILE] = "FILE",
        [CONF_CUSTOM] = "",
    };

    if (directive->syntax != NULL)
        return directive->syntax;
    if (directive->words == NULL)
        return plain[directive->type];
    struct text text = {0};
    for (const char *const *word = directive->words; *word != NULL; word++)
        text_printf(&text, "%s%s", word == directive->words ? "" : " | ", *word);
    if (directive->type != CONF_ENUM)
        text_printf(&text, " | %s", plain[directive->type]);
    size_t size = text.size < sizeof(derived) ? text.size : sizeof(derived) - 1;
    memcpy(derived, text_string(&text), size);
    derived[size] = '\0';
    text_free(&text);
    return derived;
}

void conf_written(const struct conf_directive *directive, const char *between, struct text *out)
{
    static const char optional[] = " [{ … }]";
    struct text whole = {0};

    text_printf(&whole, "%s %s", directive->name, conf_syntax(directive));
    size_t size = whole.size;
    size_t tail = sizeof(optional) - 1;
    if (size >= tail && memcmp(whole.data + size - tail, optional, tail) == 0)
        text_printf(out, "%.*s;%s%.*s { … }", (int)(size - tail), whole.data, between,
                    (int)(size - tail), whole.data);
    else
        text_printf(out, "%s%s", whole.data, whole.data[size - 1] == '}' ? "" : ";");
    text_free(&whole);
}

/* The directive as it is written, in quotes, for an error. In the tree's pool. */
static const char *written(struct conf_apply *apply, const struct conf_directive *directive)
{
    struct text text = {0};

    conf_written(directive, "\" or \"", &text);
    const char *kept = pool_must_strndup(&apply->tree->pool, text.data, text.size);
    text_free(&text);
    return kept;
}

/* ---- the number of arguments ---- */

/* True when the argument `index` is on another line than the word before it. */
static bool begins_line(const struct conf_statement *statement, size_t index)
{
    const struct conf_place *after = &statement->words[index].place;
    const struct conf_place *before =
        index == 0 ? &statement->name.place : &statement->words[index - 1].place;
    size_t end = before->offset + before->size;

    if (after->source == NULL || after->source != before->source || end > after->offset)
        return false;
    return memchr(after->source->text.data + end, '\n', after->offset - end) != NULL;
}

bool conf_error_semicolon(struct conf_apply *apply, const struct conf_directive *directive,
                          const struct conf_statement *statement, size_t index)
{
    if (!begins_line(statement, index))
        return false;
    struct conf_place gap =
        conf_place_after(index == 0 ? &statement->name.place : &statement->words[index - 1].place);
    conf_error(apply->errors, &gap, "\";\" seems to be missing here; it is written \"%s\"",
               written(apply, directive));
    return true;
}

void conf_error_unexpected(struct conf_apply *apply, const struct conf_directive *directive,
                           const struct conf_statement *statement, size_t index)
{
    const struct conf_word *word = &statement->words[index];

    if (!conf_error_semicolon(apply, directive, statement, index))
        conf_error(apply->errors, &word->place, "unexpected \"%s\"; it is written \"%s\"",
                   word->text, written(apply, directive));
}

/* The first argument at or behind `from` that begins a line, or `otherwise`. */
static size_t first_on_new_line(const struct conf_statement *statement, size_t from,
                                size_t otherwise)
{
    for (size_t i = from; i < statement->word_count; i++) {
        if (begins_line(statement, i))
            return i;
    }
    return otherwise;
}

bool conf_check_words(struct conf_apply *apply, const struct conf_directive *directive,
                      const struct conf_statement *statement, size_t min, size_t max)
{
    if (statement->word_count < min) {
        conf_error(apply->errors, &statement->name.place,
                   "\"%s\" needs more than that; it is written \"%s\"", statement->name.text,
                   written(apply, directive));
        return false;
    }
    if (statement->word_count > max) {
        conf_error_unexpected(apply, directive, statement, first_on_new_line(statement, min, max));
        return false;
    }
    return true;
}

static void report_block(struct conf_apply *apply, const struct conf_directive *directive,
                         const struct conf_statement *statement)
{
    size_t index = first_on_new_line(statement, 1, statement->word_count);

    if (index < statement->word_count)
        conf_error_unexpected(apply, directive, statement, index);
    else
        conf_error(apply->errors, &statement->name.place,
                   "\"%s\" takes no block; it is written \"%s\"", directive->name,
                   written(apply, directive));
}

/* ---- applying one statement ---- */

static size_t list_capacity(size_t count)
{
    size_t capacity = 4;

    while (capacity < count)
        capacity *= 2;
    return capacity;
}

static void list_append(struct conf_tree *tree, struct conf_list *list, const char *item)
{
    if (list->items == NULL || list->count == list_capacity(list->count)) {
        const char **items =
            pool_must_zalloc(&tree->pool, list_capacity(list->count + 1) * sizeof(*items));
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof(*items));
        list->items = items;
    }
    list->items[list->count++] = item;
}

static void store_list(struct scope *scope, const struct conf_directive *directive,
                       const struct conf_statement *statement, void *member, bool first)
{
    struct conf_list list = {0};

    if (!conf_check_words(scope->apply, directive, statement, 1, SIZE_MAX))
        return;
    if (!first)
        memcpy(&list, member, sizeof(list));
    for (size_t i = 0; i < statement->word_count; i++)
        list_append(scope->apply->tree, &list, statement->words[i].text);
    memcpy(member, &list, sizeof(list));
}

/* Stores a statement's value. `first`: it is the first statement of this directive in the block. */
static void store_statement(struct scope *scope, const struct conf_directive *directive,
                            const struct conf_statement *statement, bool first)
{
    struct conf_apply *apply = scope->apply;
    char *member = (char *)scope->target + directive->offset;

    if (statement->has_block && !directive->block)
        report_block(apply, directive, statement);
    else if (directive->type == CONF_CUSTOM)
        directive->set(apply, directive, statement, scope->target);
    else if (directive->type == CONF_LIST)
        store_list(scope, directive, statement, member, first);
    else if (conf_check_words(apply, directive, statement, 1, 1))
        value_store(apply, directive, &statement->words[0], member);
}

/* ---- defaults ---- */

/* The default as a statement whose words are all at the block's place: one word, or, for types that
 * take several, as many as there are between spaces. */
static struct conf_statement default_statement(struct scope *scope,
                                               const struct conf_directive *directive)
{
    bool several = directive->type == CONF_LIST || directive->type == CONF_CUSTOM;
    struct pool *pool = &scope->apply->tree->pool;
    size_t size = strlen(directive->fallback);

    struct conf_statement statement = {.name = {directive->name, *scope->place}};
    statement.words = pool_must_zalloc(pool, (size / 2 + 1) * sizeof(*statement.words));
    if (!several) {
        statement.words[0] = (struct conf_word){directive->fallback, *scope->place};
        statement.word_count = 1;
        return statement;
    }
    char *rest = pool_must_strdup(pool, directive->fallback);
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        if (*word != '\0')
            statement.words[statement.word_count++] = (struct conf_word){word, *scope->place};
    }
    return statement;
}

/* Stores the directive's default as if it were written at `place`. Errors go to `errors`. */
static void store_default_at(const struct scope *scope, const struct conf_directive *directive,
                             const struct conf_place *place, struct conf_errors *errors)
{
    struct conf_apply apply = *scope->apply;
    struct scope own = *scope;

    apply.errors = errors;
    own.apply = &apply;
    own.place = place;
    struct conf_statement statement = default_statement(&own, directive);
    store_statement(&own, directive, &statement, true);
}

/* A wrong default is the mistake of the table's author. The operator's configuration may not even
 * mention the directive, so the error names the table instead of a line. */
static void store_default(struct scope *scope, const struct conf_directive *directive)
{
    static const struct conf_place nowhere = {0};
    struct conf_errors errors = {0}, faults = {0};

    if (directive->fallback == NULL || (directive->contexts & scope->context) == 0)
        return;
    store_default_at(scope, directive, scope->place, &errors);
    if (errors.count > 0) {
        store_default_at(scope, directive, &nowhere, &faults);
        conf_error(
            scope->apply->errors, scope->place,
            "%s: the module is at fault, and its author has to correct it: the default of its "
            "directive \"%s\", .fallback = \"%s\", is wrong: %.*s",
            scope->where, directive->name, directive->fallback,
            (int)strcspn(text_string(&faults.text), "\n"), text_string(&faults.text));
    }
    conf_errors_free(&errors);
    conf_errors_free(&faults);
}

/* ---- names ---- */

/* Offers the name of a MODULE_ directive, so that `redis_methd` suggests `redis_method`. Only the
 * part after the module's name is compared, which alone has to be near: with the module's name,
 * `ssl_verify_depth` would be. */
static void offer_any_module(struct scope *scope, const struct conf_directive *directive,
                             const char *name, struct suggest *suggest)
{
    const char *underscore = strrchr(name, '_');
    struct text whole = {0};

    if (underscore == NULL || underscore == name)
        return;
    struct suggest last = suggest_start(underscore + 1);
    suggest_offer(&last, directive->name + sizeof(CONF_ANY_MODULE));
    if (last.nearest == NULL)
        return;
    text_printf(&whole, "%.*s%s", (int)(underscore - name), name,
                directive->name + sizeof(CONF_ANY_MODULE) - 1);
    suggest_offer(suggest, pool_must_strdup(&scope->apply->tree->pool, whole.data));
    text_free(&whole);
}

static void report_unknown(struct scope *scope, const struct conf_word *name)
{
    struct suggest suggest = suggest_start(name->text);
    bool module = scope->context == CONF_IN_MODULE;

    for (const struct conf_directive *d = scope->table; d->name != NULL; d++) {
        if (d->any_module)
            offer_any_module(scope, d, name->text, &suggest);
        else
            suggest_offer(&suggest, d->name);
    }
    for (const struct conf_directive *d = scope->apply->others; d != NULL && d->name != NULL; d++) {
        if ((d->contexts & scope->context) != 0)
            suggest_offer(&suggest, d->name);
    }
    suggest_offer(&suggest, "include");
    conf_error(scope->apply->errors, &name->place, "unknown directive \"%s\"%s%s%s", name->text,
               module ? " in " : "", module ? scope->where : "",
               conf_did_you_mean(scope->apply->tree, &suggest));
}

static void report_misplaced(struct scope *scope, const struct conf_word *name, unsigned allowed)
{
    struct text list = {0};

    for (size_t i = 0; i < sizeof(contexts) / sizeof(*contexts); i++) {
        if ((allowed & contexts[i].context) != 0)
            text_printf(&list, "%s%s", list.size == 0 ? "" : " or ", contexts[i].name);
    }
    conf_error(scope->apply->errors, &name->place,
               "\"%s\" is not allowed here (%s); it belongs in %s", name->text, scope->where,
               text_string(&list));
    text_free(&list);
}

/* True when `name` is the directive's, or matches its MODULE_ form. */
static bool is_named(const struct conf_directive *directive, const char *name)
{
    if (!directive->any_module)
        return strcmp(directive->name, name) == 0;
    const char *rest = directive->name + sizeof(CONF_ANY_MODULE) - 1;
    size_t size = strlen(name), rest_size = strlen(rest);
    return size > rest_size && strcmp(name + size - rest_size, rest) == 0;
}

bool conf_knows(const struct conf_directive *table, enum conf_context context, const char *name)
{
    for (const struct conf_directive *d = table; d != NULL && d->name != NULL; d++) {
        if ((d->contexts & context) != 0 && is_named(d, name))
            return true;
    }
    return false;
}

/* Finds the directive of that name for this block. NULL when there is none; an error is added,
 * unless the block's other reader knows the name. */
static const struct conf_directive *find_directive(struct scope *scope,
                                                   const struct conf_word *name)
{
    unsigned allowed = 0;

    for (const struct conf_directive *d = scope->table; d->name != NULL; d++) {
        if (!is_named(d, name->text))
            continue;
        if ((d->contexts & scope->context) != 0)
            return d;
        allowed |= d->contexts;
    }
    if (allowed != 0)
        report_misplaced(scope, name, allowed);
    else if (!conf_knows(scope->apply->others, scope->context, name->text) &&
             !scope->apply->leave_unknown)
        report_unknown(scope, name);
    return NULL;
}

void conf_error_twice(struct conf_apply *apply, const struct conf_place *place,
                      const struct conf_place *first, const char *what)
{
    if (first->source == NULL)
        conf_error(apply->errors, place, "%s appears twice", what);
    else if (first->source == place->source)
        conf_error(apply->errors, place, "%s appears twice; the first is on line %u", what,
                   first->line);
    else
        conf_error(apply->errors, place, "%s appears twice; the first is in %s, line %u", what,
                   first->source->name, first->line);
}

/* ---- the block ---- */

/* Applies the statements of the command line (`overrides`) or of files. `seen` has an entry for
 * each row of the table. */
static void apply_statements(struct scope *scope, const struct conf_statement *statements,
                             bool overrides, const struct conf_statement **seen)
{
    for (const struct conf_statement *s = statements; s != NULL; s = s->next) {
        if (s->overrides != overrides)
            continue;
        const struct conf_directive *directive = find_directive(scope, &s->name);
        if (directive == NULL)
            continue;
        const struct conf_statement **first = &seen[directive - scope->table];
        if (*first != NULL && !directive->repeats && directive->type != CONF_LIST) {
            struct text what = {0};
            text_printf(&what, "\"%s\"", directive->name);
            conf_error_twice(scope->apply, &s->name.place, &(*first)->name.place, what.data);
            text_free(&what);
            continue;
        }
        store_statement(scope, directive, s, *first == NULL);
        if (*first == NULL)
            *first = s;
    }
}

static void report_missing(struct scope *scope, const struct conf_statement *const *seen,
                           const struct conf_statement *const *seen_override)
{
    for (const struct conf_directive *d = scope->table; d->name != NULL; d++) {
        size_t row = (size_t)(d - scope->table);
        if (!d->required || (d->contexts & scope->context) == 0 || seen[row] != NULL ||
            seen_override[row] != NULL)
            continue;
        conf_error(scope->apply->errors, scope->place, "\"%s\" is missing in %s; add \"%s\"",
                   d->name, scope->where, written(scope->apply, d));
    }
}

bool conf_apply(struct conf_apply *apply, const struct conf_directive *table,
                enum conf_context context, const char *where, const struct conf_place *place,
                const struct conf_statement *statements, void *target)
{
    static const struct conf_place nowhere = {0};
    struct conf_apply own = *apply;
    struct scope scope = {.apply = &own,
                          .table = table,
                          .context = context,
                          .where = where,
                          .place = place == NULL ? &nowhere : place,
                          .target = target};
    unsigned before = apply->errors->count;
    size_t rows = 0;

    own.table = table;
    for (; table[rows].name != NULL; rows++)
        store_default(&scope, &table[rows]);
    const struct conf_statement **seen = must_zalloc(2 * rows * sizeof(*seen));
    apply_statements(&scope, statements, false, seen);
    apply_statements(&scope, statements, true, seen + rows);
    if (apply->errors->count == before && !apply->tree->damaged)
        report_missing(&scope, seen, seen + rows);
    free(seen);
    return apply->errors->count == before;
}
