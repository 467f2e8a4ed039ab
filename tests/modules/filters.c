/* Filters that behave, and filters that do not. */
#include <pillion/module.h>
#include <stddef.h>
#include <string.h>

/* ---- tell: writes what it sees to the log ---- */

struct tell {
    const char *word;
    int64_t seen; /* its own, of this statement alone */
};

static const pillion_directive tell_directives[] = {
    {.name = "word",
     .type = PILLION_STRING,
     .offset = offsetof(struct tell, word),
     .required = true,
     .summary = "What its lines begin with."},
    {0},
};

static pillion_verdict tell_before(pillion_request *req)
{
    struct tell *tell = pillion_filter_config(req);

    pillion_log(pillion_self(req), PILLION_LOG_NOTICE, "%s before %s, number %lld", tell->word,
                pillion_method_name(req), (long long)++tell->seen);
    return PILLION_NEXT;
}

static void tell_after(pillion_request *req)
{
    struct tell *tell = pillion_filter_config(req);
    const char *code = pillion_error_code(req);

    pillion_log(pillion_self(req), PILLION_LOG_NOTICE, "%s after %s: %s, %zu bytes, %s, to %s",
                tell->word, pillion_method_name(req), code == NULL ? "good" : code,
                pillion_reply_size(req),
                pillion_elapsed_ns(req) > 0 && pillion_elapsed_ns(req) < 5000000000u ? "soon" : "?",
                pillion_peer(req));
}

static int tell_start(pillion_instance *self, void *config, pillion_error_text *error)
{
    struct tell *tell = config;

    if (strcmp(tell->word, "broken") == 0)
        return pillion_error(error, "the word is broken");
    pillion_log(self, PILLION_LOG_NOTICE, "%s starts", tell->word);
    return 0;
}

static void tell_stop(pillion_instance *self, void *config)
{
    struct tell *tell = config;
    pillion_log(self, PILLION_LOG_NOTICE, "%s stops after %lld", tell->word, (long long)tell->seen);
}

/* ---- door: lets requests with the token pass ---- */

static pillion_verdict door(pillion_request *req)
{
    pillion_bytes token = pillion_member(req, "token");

    if (token.size == 6 && memcmp(token.data, "\"open\"", 6) == 0)
        return PILLION_NEXT;
    pillion_fail(req, "forbidden", "the token of %.*s is wrong", (int)pillion_body(req).size,
                 pillion_body(req).data);
    return PILLION_STOP;
}

/* ---- wrong in one way each ---- */

static pillion_verdict silent(pillion_request *req)
{
    (void)req;
    return PILLION_STOP;
}

static pillion_verdict talkative(pillion_request *req)
{
    pillion_reply(req, "talk", cJSON_CreateTrue());
    return PILLION_NEXT;
}

static void late(pillion_request *req)
{
    pillion_reply(req, "late", cJSON_CreateTrue());
}

static pillion_verdict crashes(pillion_request *req)
{
    *(volatile int *)0 = req != NULL;
    return PILLION_NEXT;
}

static void bomb(pillion_request *req)
{
    *(volatile int *)0 = req != NULL;
}

static const pillion_filter filters[] = {
    {.name = "tell",
     .before = tell_before,
     .after = tell_after,
     .start = tell_start,
     .stop = tell_stop,
     .summary = "Tells.",
     .directives = tell_directives,
     .config_size = sizeof(struct tell)},
    {.name = "door", .before = door},
    {.name = "silent", .before = silent},
    {.name = "talkative", .before = talkative},
    {.name = "late", .after = late},
    {.name = "crashes", .before = crashes},
    {.name = "bomb", .after = bomb, .unseen = true},
    {0},
};

PILLION_MODULE(.name = "filters", .version = "1.0.0", .filters = filters);
