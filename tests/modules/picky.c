/* Checks its directives itself, and points at those that are wrong together. */
#include <pillion/module.h>
#include <string.h>

struct config {
    int64_t even;
    const char *word;
    pillion_list list;
};

static int is_even(const void *value, pillion_error_text *error)
{
    int64_t number = *(const int64_t *)value;

    return number % 2 == 0 ? 0 : pillion_error(error, "%lld is odd", (long long)number);
}

static int is_short(const void *value, pillion_error_text *error)
{
    const pillion_list *list = value;

    (void)error;
    return list->count < 3 ? 0 : -1;
}

#define DIRECTIVES                                                                         \
    {.name = "even",                                                                       \
     .type = PILLION_INTEGER,                                                              \
     .offset = offsetof(struct config, even),                                              \
     .fallback = "1", /* its own matter */                                                 \
     .check = is_even},                                                                    \
        {.name = "word", .type = PILLION_STRING, .offset = offsetof(struct config, word)}, \
        {.name = "list",                                                                   \
         .type = PILLION_LIST,                                                             \
         .offset = offsetof(struct config, list),                                          \
         .check = is_short},                                                               \
    {                                                                                      \
        0                                                                                  \
    }

static const pillion_directive directives[] = {DIRECTIVES};

static int judge(const struct config *config, pillion_error_text *error)
{
    if (config->word != NULL && strcmp(config->word, "bad") == 0)
        return pillion_error_at(error, "word", "\"%s\" with %lld", config->word,
                                (long long)config->even);
    if (config->word != NULL && strcmp(config->word, "lost") == 0)
        return pillion_error_at(error, "list", "there is no list");
    return 0;
}

static int check(pillion_instance *self, pillion_error_text *error)
{
    return judge(pillion_config(self), error);
}

static int statement_start(pillion_instance *self, void *config, pillion_error_text *error)
{
    (void)self;
    return judge(config, error);
}

static pillion_verdict before(pillion_request *req)
{
    (void)req;
    return PILLION_NEXT;
}

static void give(pillion_request *req)
{
    pillion_reply(req, "given", cJSON_CreateTrue());
}

static const pillion_method methods[] = {
    {.name = "give",
     .handler = give,
     .directives = directives,
     .config_size = sizeof(struct config),
     .start = statement_start},
    {0},
};

static const pillion_filter filters[] = {
    {.name = "picky",
     .before = before,
     .directives = directives,
     .config_size = sizeof(struct config),
     .start = statement_start},
    {0},
};

PILLION_MODULE(.name = "picky", .version = "1.0.0", .methods = methods, .filters = filters,
               .directives = directives, .config_size = sizeof(struct config), .check = check);
