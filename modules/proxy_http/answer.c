/* Reads what upstreams reply: JSON-RPC 2.0, and 1.0, whose replies have `"error": null` beside the
 * result and no `jsonrpc`. See answer.h. */
#include "answer.h"

#include <stdio.h>
#include <string.h>

static bool is(pillion_bytes text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static bool is_object(pillion_bytes text)
{
    size_t at = 0;

    while (at < text.size && strchr(" \t\r\n", text.data[at]) != NULL)
        at++;
    return at < text.size && text.data[at] == '{';
}

static bool is_ours(pillion_bytes id, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    return is(id, text);
}

/* What is wrong with the body; NULL when it is a reply, which is in the answer then. */
static const char *fault_of(struct answer *answer, pillion_bytes body, uint64_t number)
{
    if (body.size == 0)
        return "its reply is empty";
    if (!pillion_json_check(body))
        return "its reply is no JSON";
    if (!is_object(body))
        return "its reply is no object";
    pillion_bytes result = pillion_json_member(body, "result"),
                  id = pillion_json_member(body, "id");
    pillion_bytes error = pillion_json_member(body, "error");
    bool fails = error.data != NULL && !is(error, "null");

    /* A server that could not read the request does not know its id. */
    if (!is_ours(id, number) && !(fails && is(id, "null")))
        return id.data == NULL ? "its reply has no `id`" : "its reply has another request's `id`";
    if (fails && !is_object(error))
        return "the `error` of its reply is no object";
    if (!fails && result.data == NULL)
        return "its reply has neither `result` nor `error`";
    answer->verdict = fails ? ANSWER_ERROR : ANSWER_RESULT;
    answer->value = fails ? error : result;
    return NULL;
}

/* An error may come with any status: some services tell of it there, too. */
void answer_read(struct answer *answer, pillion_bytes body, uint64_t id)
{
    const char *fault = fault_of(answer, body, id);
    long status = answer->status;

    if (fault == NULL)
        return;
    answer->verdict = ANSWER_BAD;
    if (status >= 300 && status < 400)
        snprintf(answer->reason, sizeof(answer->reason),
                 "it redirects (HTTP status %ld), and redirects are not followed", status);
    else if (status < 200 || status >= 300)
        snprintf(answer->reason, sizeof(answer->reason), "it answered with HTTP status %ld",
                 status);
    else
        snprintf(answer->reason, sizeof(answer->reason), "%s", fault);
}

bool answer_is_failure(const struct answer *answer)
{
    long status = answer->status;

    return answer->verdict != ANSWER_BAD || status < 300 || status >= 500 || status == 429;
}
