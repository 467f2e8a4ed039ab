/* Values of connections. See conn_values.h. */
#include "rpc/conn_values.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/note.h"

struct conn_value {
    void *value;
    conn_value_ended ended;
    pillion_instance *instance; /* whose `ended` it is */
    struct origin origin;       /* the method for which it was set: no request is to blame for
                                   what `ended` does */
    struct conn_value *older;
    char key[];
};

/* ---- The end ---- */

/* The value, which is in no list any more, is over. */
static void end_value(struct conn_value *value, pillion_conn_end why)
{
    if (value->ended != NULL) {
        struct note before = note_enter(DUTY_CONN, value->instance, &value->origin);
        value->ended(value->instance, value->value, why);
        note_leave(&before);
    }
    free(value);
}

/* The newest first, as the calls at a request's end. */
static void end_all(struct conn_values *values)
{
    while (values->newest != NULL) {
        struct conn_value *value = values->newest;
        values->newest = value->older;
        end_value(value, values->over);
    }
    free(values);
}

struct conn_values *conn_values_use(struct conn_values *values)
{
    if (values != NULL)
        values->users++;
    return values;
}

void conn_values_leave(struct conn_values *values)
{
    if (values != NULL && --values->users == 0 && values->over != 0)
        end_all(values);
}

void conn_values_end(struct conn_values **values, pillion_conn_end why)
{
    struct conn_values *ending = *values;

    if (ending == NULL)
        return;
    *values = NULL;
    ending->over = why;
    if (ending->users == 0)
        end_all(ending);
}

/* ---- Setting and getting ---- */

struct request_connection conn_values_connection(const struct pillion_request *req)
{
    struct request_connection connection = {0};

    if (req->connection != NULL)
        req->connection(req, &connection);
    return connection;
}

/* The link that leads to the value with the key, or to NULL at the list's end. */
static struct conn_value **find(struct conn_values *values, const char *key)
{
    struct conn_value **at = &values->newest;

    while (*at != NULL && strcmp((*at)->key, key) != 0)
        at = &(*at)->older;
    return at;
}

static struct conn_value *make_value(const struct pillion_request *req, const char *key,
                                     void *value, conn_value_ended ended)
{
    size_t size = strlen(key) + 1;
    struct conn_value *made = malloc(sizeof(*made) + size);

    if (made == NULL)
        return NULL;
    *made = (struct conn_value){
        .value = value,
        .ended = ended,
        .instance = request_instance(req),
        .origin = {.method = req->method->index + 1},
    };
    memcpy(made->key, key, size);
    return made;
}

bool conn_values_set(const struct pillion_request *req, const char *key, void *value,
                     conn_value_ended ended)
{
    struct conn_values **at = conn_values_connection(req).values;
    struct conn_value *made = NULL;

    if (at == NULL || (*at != NULL && (*at)->over != 0))
        return false; /* the client is gone */
    if (value != NULL && (made = make_value(req, key, value, ended)) == NULL)
        return false;
    if (*at == NULL && made != NULL && (*at = calloc(1, sizeof(**at))) == NULL) {
        free(made);
        return false;
    }
    if (*at == NULL)
        return true; /* there was none to take away */
    struct conn_value **place = find(*at, key), *former = *place;
    if (former != NULL)
        *place = former->older;
    if (made != NULL) {
        made->older = (*at)->newest;
        (*at)->newest = made;
    }
    if (former != NULL && former->value == value)
        free(former);
    else if (former != NULL)
        end_value(former, PILLION_CONN_REPLACED); /* last: it may set others */
    return true;
}

void *conn_values_get(const struct pillion_request *req, const char *key)
{
    struct conn_values **at = conn_values_connection(req).values;
    const struct conn_value *value = at == NULL || *at == NULL ? NULL : *find(*at, key);

    return value == NULL ? NULL : value->value;
}
