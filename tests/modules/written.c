/* Results that are written as they go, and what can come in between: the first `rows` numbers, as
 * an array. */
#include <pillion/module.h>
#include <string.h>

struct list {
    int64_t rows;
    const char *how;
};

static const pillion_param params[] = {
    PILLION_PARAM(struct list, rows, PILLION_INTEGER, .required = true, .min = 0, .max = 10000000),
    PILLION_PARAM(struct list, how, PILLION_STRING, .fallback = "\"ends\""),
    {0},
};

struct work {
    const struct list *list;
    pillion_token token;
    bool again;
};

static bool is(const struct list *list, const char *how)
{
    return strcmp(list->how, how) == 0;
}

static void put(pillion_request *req, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++)
        pillion_put_integer(req, NULL, i);
}

static void goes_on(pillion_instance *self, void *data)
{
    struct work *work = data;
    const struct list *list = work->list;
    pillion_request *req = pillion_resume(work->token);

    (void)self;
    if (req == NULL)
        return;
    if (work->again) {
        work->again = false;
        pillion_begin_array(req, "written");
        put(req, 0, list->rows / 2);
        work->token = pillion_defer(req, 0);
        pillion_timer(pillion_self(req), 1, 0, goes_on, work);
        return;
    }
    if (is(list, "later"))
        pillion_begin_array(req, "written");
    put(req, is(list, "later") ? 0 : list->rows / 2, list->rows);
    pillion_end(req);
}

static void written(pillion_request *req)
{
    const struct list *list = pillion_args(req);
    struct work *work = pillion_alloc(req, sizeof(*work));

    *work = (struct work){.list = list, .again = is(list, "again")};
    if (is(list, "later") || is(list, "again")) {
        work->token = pillion_defer(req, 0);
        pillion_timer(pillion_self(req), 1, 0, goes_on, work);
        return;
    }
    pillion_begin_array(req, "written");
    put(req, 0, list->rows / 2);
    if (is(list, "fails"))
        pillion_fail(req, "gone", "there are no more");
    if (is(list, "another"))
        pillion_reply_raw(req, "another", (pillion_bytes){"[0]", 3});
    if (is(list, "defers")) {
        work->token = pillion_defer(req, 0);
        pillion_timer(pillion_self(req), 1, 0, goes_on, work);
        return;
    }
    if (is(list, "wrong"))
        pillion_put_flag(req, "name", true);
    put(req, list->rows / 2, list->rows);
    if (!is(list, "unended"))
        pillion_end(req);
}

static const pillion_method methods[] = {
    {.name = "written", .handler = written, PILLION_PARAMS(struct list, params)},
    {0},
};

PILLION_MODULE(.name = "written", .version = "1.0.0", .methods = methods);
