/* Replies as tests read them. See test_reply.h. */
#include "module/test_reply.h"

#include <string.h>

#include "wire/envelope.h"
#include "wire/frame.h"
#include "wire/json.h"

/* A member as a C string; NULL when it is no string, or has a NUL byte. */
static const char *text_of(struct bytes object, struct bytes name, struct pool *texts)
{
    struct bytes json = envelope_member(object, name);
    char *text = pool_must_zalloc(texts, json.size + 1);
    long size = json.data == NULL ? -1 : json_string_text(json, text, json.size);

    return size < 0 || strlen(text) != (size_t)size ? NULL : text;
}

pillion_test_reply test_reply_read(const char *frame, size_t size, struct pool *texts)
{
    if (size == 0) /* of a notification */
        return (pillion_test_reply){.body = ""};
    struct bytes body = {frame + FRAME_HEADER_SIZE, size - FRAME_HEADER_SIZE};
    struct bytes error = envelope_member(body, BYTES("error")); /* JSON-RPC's */
    struct bytes result = error.data != NULL ? envelope_member(error, BYTES("data"))
                                             : envelope_member(body, BYTES("result"));
    char *text = pool_must_zalloc(texts, result.size + 1);
    pillion_test_reply reply = {
        .body = body.data, .result = text, .out = text_of(body, BYTES("out"), texts)};

    if (result.size > 0)
        memcpy(text, result.data, result.size);
    if (error.data != NULL)
        reply.out = "error";
    if (reply.out != NULL && strcmp(reply.out, "error") == 0) {
        reply.code = text_of(result, BYTES("code"), texts);
        reply.message = text_of(result, BYTES("message"), texts);
    }
    return reply;
}

/* Replies to mistakes of the test's, in the words of a server's error. */
#define ERROR_RESULT(its_code, its_message) \
    "{\"code\":\"" its_code "\",\"message\":\"" its_message "\"}"
#define ERROR_REPLY(its_code, its_message)                                                \
    {                                                                                     \
        .body = "{\"out\":\"error\",\"result\":" ERROR_RESULT(its_code, its_message) "}", \
        .out = "error", .result = ERROR_RESULT(its_code, its_message), .code = its_code,  \
        .message = its_message                                                            \
    }

const pillion_test_reply test_reply_not_started =
    ERROR_REPLY("not_started", "no modules run: pillion_test_start was not called, or failed, or "
                               "they were stopped");
const pillion_test_reply test_reply_not_begun =
    ERROR_REPLY("not_begun", "pillion_test_begin has given no such number since modules started");
