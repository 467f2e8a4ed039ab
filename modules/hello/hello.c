/* hello: the teaching module. Read it from top to bottom; it shows everything that a synchronous
 * module can do: directives, params and results by table, errors, state in each worker, and the
 * three hooks.
 *
 *     load_module modules/hello.so {
 *         greeting    "Good morning";
 *         languages   en de fr;
 *         max_name    40;
 *         mood        cheerful;
 *     }
 *     server {
 *         ...
 *         method greet;          # {"name": "Ada"} -> "Good morning, Ada!"
 *         method hello.count;    # how many greetings this worker has given
 *     } */
#include <pillion/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Configuration: a structure, and the table of directives that fill it ---- */

struct config {
    const char *greeting;
    pillion_list languages;
    int64_t max_name;
    int mood;
};

static const char *const moods[] = {"calm", "cheerful", NULL};
enum { CALM, CHEERFUL };

static const pillion_directive directives[] = {
    {.name = "greeting",
     .type = PILLION_STRING,
     .offset = offsetof(struct config, greeting),
     .fallback = "Hello",
     .summary = "What a greeting begins with."},
    {.name = "languages",
     .type = PILLION_LIST,
     .offset = offsetof(struct config, languages),
     .fallback = "en",
     .summary = "The languages that callers may ask for, the first one being the default."},
    {.name = "max_name",
     .type = PILLION_INTEGER,
     .offset = offsetof(struct config, max_name),
     .fallback = "100",
     .min = 1,
     .max = 1000,
     .summary = "The longest name that is greeted, in bytes."},
    {.name = "mood",
     .type = PILLION_ENUM,
     .offset = offsetof(struct config, mood),
     .fallback = "cheerful",
     .words = moods,
     .summary = "A cheerful greeting ends with an exclamation mark, a calm one with a full stop."},
    {0},
};

/* ---- State: what each worker keeps between requests ---- */

struct state {
    uint64_t greetings;
};

/* ---- Methods ---- */

static const struct {
    const char *language, *word;
} words[] = {{"en", NULL}, {"de", "Guten Tag"}, {"fr", "Bonjour"}, {"es", "Buenos días"}};

/* The greeting in a language that callers may ask for, or NULL. */
static const char *greeting_in(const struct config *config, const char *language)
{
    for (size_t i = 0; i < config->languages.count; i++) {
        if (strcmp(config->languages.items[i], language) != 0)
            continue;
        for (size_t w = 0; w < sizeof(words) / sizeof(*words); w++) {
            if (strcmp(words[w].language, language) == 0)
                return words[w].word == NULL ? config->greeting : words[w].word;
        }
    }
    return NULL;
}

struct greet {
    const char *name;
    const char *language; /* NULL when it is not given */
};

/* What greet takes. The server checks it before greet runs, and tells clients and agents of it. */
static const pillion_param greet_params[] = {
    PILLION_PARAM(struct greet, name, PILLION_STRING, .min = 1, .required = true,
                  .summary = "Of whom is to be greeted."),
    PILLION_PARAM(struct greet, language, PILLION_STRING,
                  .summary = "Such as \"fr\"; one of those that are configured."),
    {0},
};

/* {"name": "Ada", "language": "en"} -> "Hello, Ada!" */
static void greet(pillion_request *req)
{
    const struct config *config = pillion_config(pillion_self(req));
    struct state *state = pillion_state(pillion_self(req));
    const struct greet *params = pillion_args(req);

    /* What depends on the configuration is for the handler to check. */
    if (strlen(params->name) > (size_t)config->max_name) {
        pillion_fail(req, PILLION_INVALID_PARAMS,
                     "the name has %zu bytes; at most %lld are greeted", strlen(params->name),
                     (long long)config->max_name);
        return;
    }
    /* A code of the module's own tells programs more than `invalid_params` would. */
    const char *wanted = params->language == NULL ? config->languages.items[0] : params->language;
    const char *greeting = greeting_in(config, wanted);
    if (greeting == NULL) {
        pillion_fail(req, "unknown_language", "\"%s\" is not spoken here", wanted);
        return;
    }

    /* Memory of the request needs no freeing. */
    size_t size = strlen(greeting) + strlen(params->name) + sizeof(", !");
    char *text = pillion_alloc(req, size);
    if (text == NULL) {
        pillion_fail(req, PILLION_OVERLOADED, "no memory for a greeting");
        return;
    }
    snprintf(text, size, "%s, %s%c", greeting, params->name, config->mood == CHEERFUL ? '!' : '.');
    state->greetings++;
    pillion_reply(req, "greet", cJSON_CreateString(text));
}

struct count {
    int64_t worker;
    int64_t greetings;
};

/* What hello.count gives, which clients and agents are told. */
static const pillion_param count_rows[] = {
    PILLION_PARAM(struct count, worker, PILLION_INTEGER, .summary = "The place of the worker."),
    PILLION_PARAM(struct count, greetings, PILLION_INTEGER,
                  .summary = "How many it has given since it started."),
    {0},
};

/* {"worker": 0, "greetings": 12} */
static void count(pillion_request *req)
{
    const struct state *state = pillion_state(pillion_self(req));
    const struct count result = {.worker = pillion_worker(pillion_self(req)),
                                 .greetings = (int64_t)state->greetings};

    pillion_reply_struct(req, "hello.count", &result);
}

static const pillion_method methods[] = {
    {.name = "greet",
     .handler = greet,
     .title = "Greet somebody",
     .summary = "Greets somebody by name.",
     .additive = true, /* it counts */
     .result = "{\"type\": \"string\"}",
     PILLION_PARAMS(struct greet, greet_params)},
    {.name = "hello.count",
     .handler = count,
     .title = "Count greetings",
     .summary = "How many greetings the worker that answers has given.",
     .read_only = true,
     PILLION_GIVES(struct count, count_rows)},
    {0},
};

/* ---- Hooks ---- */

/* Runs in a throwaway process before a configuration is put to use, for checks that the table of
 * directives cannot express. */
static int check(pillion_instance *self, pillion_error_text *error)
{
    const struct config *config = pillion_config(self);

    for (size_t i = 0; i < config->languages.count; i++) {
        if (greeting_in(config, config->languages.items[i]) == NULL)
            return pillion_error(error,
                                 "no greeting is known in the language \"%s\"; use en, de, "
                                 "fr or es",
                                 config->languages.items[i]);
    }
    return 0;
}

/* Runs in each worker before it serves. */
static int start(pillion_instance *self, pillion_error_text *error)
{
    struct state *state = calloc(1, sizeof(*state));

    if (state == NULL)
        return pillion_error(error, "out of memory");
    pillion_set_state(self, state);
    return 0;
}

/* Runs in each worker that ends in order, after its last request. */
static void stop(pillion_instance *self)
{
    struct state *state = pillion_state(self);

    pillion_log(self, PILLION_LOG_DEBUG, "%llu greetings were given",
                (unsigned long long)state->greetings);
    free(state);
}

PILLION_MODULE(.name = "hello", .version = "1.0.0",
               .summary = "Greets; teaches how modules are made.", .methods = methods,
               .directives = directives, .config_size = sizeof(struct config), .check = check,
               .start = start, .stop = stop);
