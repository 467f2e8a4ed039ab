/* notes: a module around a library that blocks. Notes are kept in SQLite: its calls run in threads
 * of a pool, each of which has a connection of its own, and are given up when nobody waits for them
 * any more.
 *
 *     pool notes threads=4 queue=200;
 *     load_module modules/notes.so pool=notes { file run/notes.db; }
 *     server {
 *         ...
 *         method notes.add;       # {"title": "Milk", "body": "two litres"} -> {"id": 1}
 *         method notes.get;       # {"id": 1} -> {"id": 1, "title": "Milk", "body": "two litres"}
 *         method notes.list;      # {"after": 0, "most": 20} -> [{"id": 1, …}, …]
 *         method notes.search;    # {"text": "litre"} -> [{"id": 1, …}]
 *     }
 *
 *     cc -shared -fPIC $(pkg-config --cflags --libs pillion sqlite3) -o notes.so notes.c */
#include <pillion/module.h>
#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

struct config {
    const char *file;
};

static const pillion_directive directives[] = {
    {.name = "file",
     .type = PILLION_PATH,
     .offset = offsetof(struct config, file),
     .required = true,
     .summary = "The database; the workers' user writes to it, and to its folder."},
    {0},
};

enum { GIVEN_UP };
static const pillion_metric metrics[] = {
    [GIVEN_UP] = {.name = "given_up",
                  .type = PILLION_COUNTER,
                  .summary = "Queries that were ended because nobody waited for them any more."},
    {0},
};

/* ---- A connection for each thread ---- */

static pthread_key_t connection; /* sqlite3 *, closed when its thread ends */

static void connection_close(void *db)
{
    sqlite3_close(db);
}

static void key_make(void)
{
    pthread_key_create(&connection, connection_close);
}

/* SQLite asks every thousand steps of a query, and whenever another connection has the database. */
static int is_cancelled(void *unused)
{
    (void)unused;
    return pillion_work_cancelled();
}

static int is_waited_for(void *unused, int times)
{
    (void)unused;
    return times < 1000 && !pillion_work_cancelled() && sqlite3_sleep(5) > 0;
}

/* NULL without memory; where the file cannot be used, each of the connection's calls says so. */
static sqlite3 *connection_open(const char *file)
{
    sqlite3 *db = NULL;

    sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    sqlite3_busy_handler(db, is_waited_for, NULL);
    sqlite3_progress_handler(db, 1000, is_cancelled, NULL);
    return db;
}

/* ---- A query: its work in a thread, its answer on the loop ---- */

struct note {
    struct note *next;
    int64_t id;
    const char *title, *body; /* behind the structure */
};

struct query {
    pillion_instance *self;
    const void *params; /* the request's, which may be read in a thread */
    sqlite3 *db;
    sqlite3_stmt *statement;
    int64_t made; /* the id of the note that was added */
    struct note *first, **end;
    char error[200]; /* "": there is none */
};

static void query_prepare(struct query *query, const char *sql)
{
    const struct config *config = pillion_config(query->self);

    query->db = pthread_getspecific(connection);
    if (query->db == NULL) {
        query->db = connection_open(config->file);
        pthread_setspecific(connection, query->db);
    }
    sqlite3_prepare_v2(query->db, sql, -1, &query->statement, NULL);
}

static bool note_keep(struct query *query)
{
    const char *title = (const char *)sqlite3_column_text(query->statement, 1);
    const char *body = (const char *)sqlite3_column_text(query->statement, 2);
    size_t title_size = strlen(title) + 1, body_size = strlen(body) + 1;
    struct note *note = pillion_malloc(query->self, sizeof(*note) + title_size + body_size);

    if (note == NULL)
        return false;
    char *text = (char *)(note + 1);
    *note = (struct note){.id = sqlite3_column_int64(query->statement, 0),
                          .title = memcpy(text, title, title_size),
                          .body = memcpy(text + title_size, body, body_size)};
    *query->end = note;
    query->end = &note->next;
    return true;
}

static void query_run(struct query *query)
{
    int code;

    while ((code = sqlite3_step(query->statement)) == SQLITE_ROW && note_keep(query))
        ;
    if (code != SQLITE_DONE && pillion_work_cancelled())
        pillion_count(query->self, GIVEN_UP, 1);
    else if (code != SQLITE_DONE)
        strncpy(query->error, code == SQLITE_ROW ? "out of memory" : sqlite3_errmsg(query->db),
                sizeof(query->error) - 1);
    query->made = sqlite3_last_insert_rowid(query->db);
    sqlite3_finalize(query->statement);
}

static void query_free(void *data)
{
    struct query *query = data;

    for (struct note *note = query->first, *next; note != NULL; note = next) {
        next = note->next;
        pillion_free(query->self, note);
    }
}

static void query_begin(pillion_request *req, void (*work)(void *data),
                        void (*done)(pillion_request *req, void *data))
{
    struct query *query = pillion_alloc(req, sizeof(*query));

    if (query == NULL || !pillion_on_end(req, query_free, query)) {
        pillion_fail(req, PILLION_OVERLOADED, "no memory for a query");
        return;
    }
    *query = (struct query){.self = pillion_self(req), .params = pillion_args(req)};
    query->end = &query->first;
    pillion_offload(req, 0, work, done, query);
}

/* True when there is somebody to be answered, and something to answer. */
static bool query_succeeded(pillion_request *req, const struct query *query)
{
    if (req != NULL && query->error[0] != '\0')
        pillion_fail(req, "database_error", "%s", query->error);
    return req != NULL && query->error[0] == '\0';
}

static void note_write(pillion_request *req, const char *name, const struct note *note)
{
    pillion_begin_object(req, name);
    pillion_put_integer(req, "id", note->id);
    pillion_put_string(req, "title", note->title);
    pillion_put_string(req, "body", note->body);
    pillion_end(req);
}

static void notes_reply(pillion_request *req, void *data)
{
    const struct query *query = data;

    if (!query_succeeded(req, query))
        return;
    pillion_begin_array(req, "notes");
    for (const struct note *note = query->first; note != NULL; note = note->next)
        note_write(req, NULL, note);
    pillion_end(req);
}

/* ---- notes.add ---- */

struct add {
    const char *title, *body;
};

static const pillion_param add_params[] = {
    PILLION_PARAM(struct add, title, PILLION_STRING, .min = 1, .max = 200, .required = true),
    PILLION_PARAM(struct add, body, PILLION_STRING, .fallback = "\"\"", .max = 100000),
    {0},
};

static void add_work(void *data)
{
    struct query *query = data;
    const struct add *params = query->params;

    query_prepare(query, "INSERT INTO note (title, body) VALUES (?, ?)");
    sqlite3_bind_text(query->statement, 1, params->title, -1, SQLITE_STATIC);
    sqlite3_bind_text(query->statement, 2, params->body, -1, SQLITE_STATIC);
    query_run(query);
}

static void add_reply(pillion_request *req, void *data)
{
    const struct query *query = data;

    if (!query_succeeded(req, query))
        return;
    pillion_begin_object(req, "note");
    pillion_put_integer(req, "id", query->made);
    pillion_end(req);
}

static void add(pillion_request *req)
{
    query_begin(req, add_work, add_reply);
}

/* ---- notes.get ---- */

struct get {
    int64_t id;
};

static const pillion_param get_params[] = {
    PILLION_PARAM(struct get, id, PILLION_INTEGER, .min = 1, .required = true),
    {0},
};

static void get_work(void *data)
{
    struct query *query = data;
    const struct get *params = query->params;

    query_prepare(query, "SELECT id, title, body FROM note WHERE id = ?");
    sqlite3_bind_int64(query->statement, 1, params->id);
    query_run(query);
}

static void get_reply(pillion_request *req, void *data)
{
    const struct query *query = data;
    const struct get *params = query->params;

    if (!query_succeeded(req, query))
        return;
    if (query->first == NULL)
        pillion_fail(req, "no_such_note", "there is no note %lld", (long long)params->id);
    else
        note_write(req, "note", query->first);
}

static void get(pillion_request *req)
{
    query_begin(req, get_work, get_reply);
}

/* ---- notes.list ---- */

struct list {
    int64_t after, most;
};

static const pillion_param list_params[] = {
    PILLION_PARAM(struct list, after, PILLION_INTEGER, .summary = "Notes behind this id."),
    PILLION_PARAM(struct list, most, PILLION_INTEGER, .fallback = "20", .min = 1, .max = 1000),
    {0},
};

static void list_work(void *data)
{
    struct query *query = data;
    const struct list *params = query->params;

    query_prepare(query, "SELECT id, title, body FROM note WHERE id > ? ORDER BY id LIMIT ?");
    sqlite3_bind_int64(query->statement, 1, params->after);
    sqlite3_bind_int64(query->statement, 2, params->most);
    query_run(query);
}

static void list(pillion_request *req)
{
    query_begin(req, list_work, notes_reply);
}

/* ---- notes.search ---- */

struct search {
    const char *text;
    int64_t most;
};

static const pillion_param search_params[] = {
    PILLION_PARAM(struct search, text, PILLION_STRING, .min = 1, .max = 200, .required = true),
    PILLION_PARAM(struct search, most, PILLION_INTEGER, .fallback = "20", .min = 1, .max = 1000),
    {0},
};

static void search_work(void *data)
{
    struct query *query = data;
    const struct search *params = query->params;

    query_prepare(query, "SELECT id, title, body FROM note"
                         " WHERE instr(title, ?1) OR instr(body, ?1) LIMIT ?2");
    sqlite3_bind_text(query->statement, 1, params->text, -1, SQLITE_STATIC);
    sqlite3_bind_int64(query->statement, 2, params->most);
    query_run(query);
}

static void search(pillion_request *req)
{
    query_begin(req, search_work, notes_reply);
}

static const pillion_method methods[] = {
    {.name = "notes.add",
     .handler = add,
     .summary = "Keeps a note.",
     .additive = true,
     PILLION_PARAMS(struct add, add_params)},
    {.name = "notes.get",
     .handler = get,
     .summary = "Gives a note by its id.",
     .read_only = true,
     .idempotent = true,
     PILLION_PARAMS(struct get, get_params)},
    {.name = "notes.list",
     .handler = list,
     .summary = "Gives notes in the order of their ids.",
     .read_only = true,
     .idempotent = true,
     PILLION_PARAMS(struct list, list_params)},
    {.name = "notes.search",
     .handler = search,
     .summary = "Gives notes that have a text in them.",
     .read_only = true,
     .idempotent = true,
     PILLION_PARAMS(struct search, search_params)},
    {0},
};

/* In each worker: sees that the database can be used, and makes its table once. With a log of what
 * is to be written (WAL), reading waits for nobody. */
static int start(pillion_instance *self, pillion_error_text *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct config *config = pillion_config(self);
    int failed = 0;

    pthread_once(&once, key_make);
    sqlite3 *db = connection_open(config->file);
    sqlite3_busy_timeout(db, 1000); /* until it has started, the worker serves nobody */
    if (sqlite3_exec(db,
                     "PRAGMA journal_mode = WAL;"
                     "CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY AUTOINCREMENT,"
                     " title TEXT NOT NULL, body TEXT NOT NULL)",
                     NULL, NULL, NULL) != SQLITE_OK)
        failed =
            pillion_error_at(error, "file", "cannot use %s: %s", config->file, sqlite3_errmsg(db));
    sqlite3_close(db);
    return failed;
}

PILLION_MODULE(.name = "notes", .version = "1.0.0", .summary = "Notes in SQLite.",
               .methods = methods, .directives = directives, .config_size = sizeof(struct config),
               .metrics = metrics, .start = start, .needs = PILLION_NEEDS_FILES);
