/* Methods that reply with structures by table: at once, from a thread, and as parts of what is
 * written as it goes. What they are asked for may be what their table refuses. */
#include <pillion/module.h>

struct ticket {
    const char *name;
    double price;
    bool priced;
    int mood;
    pillion_array seats;
};

static const char *const moods[] = {"calm", "cheerful", NULL};

static const pillion_param takes[] = {
    PILLION_PARAM(struct ticket, name, PILLION_STRING),
    PILLION_PARAM(struct ticket, price, PILLION_NUMBER, .given = offsetof(struct ticket, priced)),
    PILLION_PARAM(struct ticket, mood, PILLION_ENUM, .words = moods),
    PILLION_PARAM(struct ticket, seats, PILLION_INTEGER, .list = true),
    {0},
};

static const pillion_param ticket_rows[] = {
    PILLION_PARAM(struct ticket, name, PILLION_STRING, .required = true, .max = 8,
                  .summary = "Of whom it is."),
    PILLION_PARAM(struct ticket, price, PILLION_NUMBER, .to = 100,
                  .given = offsetof(struct ticket, priced)),
    PILLION_PARAM(struct ticket, mood, PILLION_ENUM, .words = moods),
    PILLION_PARAM(struct ticket, seats, PILLION_INTEGER, .list = true),
    {0},
};

static void ticket(pillion_request *req)
{
    pillion_reply_struct(req, "ticket", pillion_args(req));
}

struct tickets {
    pillion_array all;
    int64_t count;
};

static const pillion_param tickets_rows[] = {
    PILLION_PARAM(struct tickets, all, PILLION_OBJECT, .list = true,
                  PILLION_MEMBERS(struct ticket, ticket_rows)),
    PILLION_PARAM(struct tickets, count, PILLION_INTEGER),
    {0},
};

/* As they come, without a list of them. */
static void tickets(pillion_request *req)
{
    const struct ticket *one = pillion_args(req);

    pillion_begin_object(req, "tickets");
    pillion_begin_array(req, "all");
    for (int i = 0; i < 3; i++) {
        struct ticket copy = *one;
        copy.priced = true;
        copy.price += i;
        pillion_put_struct(req, NULL, ticket_rows, &copy);
    }
    pillion_end(req);
    pillion_put_integer(req, "count", 3);
    pillion_end(req);
}

static void work(void *data)
{
    struct ticket *one = data;

    one->mood = 1;
}

static void done(pillion_request *req, void *data)
{
    if (req != NULL)
        pillion_reply_struct(req, "pool", data);
}

static void pool(pillion_request *req)
{
    struct ticket *one = pillion_alloc(req, sizeof(*one));

    *one = *(const struct ticket *)pillion_args(req);
    pillion_offload(req, 0, work, done, one);
}

#define GIVES_TICKET PILLION_GIVES(struct ticket, ticket_rows)

static const pillion_method methods[] = {
    {.name = "ticket", .handler = ticket, PILLION_PARAMS(struct ticket, takes), GIVES_TICKET},
    {.name = "pool", .handler = pool, PILLION_PARAMS(struct ticket, takes), GIVES_TICKET},
    {.name = "tickets",
     .handler = tickets,
     PILLION_PARAMS(struct ticket, takes),
     PILLION_GIVES(struct tickets, tickets_rows)},
    {.name = "told",
     .handler = ticket,
     .result = "{\"type\":\"object\",\"title\":\"told\"}",
     PILLION_PARAMS(struct ticket, takes),
     GIVES_TICKET},
    {.name = "untold", .handler = ticket, PILLION_PARAMS(struct ticket, takes)},
    {0},
};

PILLION_MODULE(.name = "gives", .version = "1", .methods = methods);
