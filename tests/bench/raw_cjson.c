/* The bare server with cJSON: each frame is parsed, its params are read, a reply is built and
 * printed, as the methods of build.c and five.c do it. cJSON's memory comes from an arena that each
 * request begins anew, which is the cheapest way. The replies to all requests of a recv(2) leave
 * with one send(2), or a few when they are long.
 *
 *     raw_cjson PORT */
#include <cjson/cJSON.h>
#include <stdbool.h>

#include "bare.h"

#define ARENA_SIZE ((size_t)96 << 20) /* pages take memory only when they are used */
#define REPLY_ROOM (FRAME_HEADER + 2 * (size_t)BODY_MAX)

static _Alignas(16) char arena[ARENA_SIZE];
static size_t arena_used;
static char replies[2 * REPLY_ROOM];

static void *arena_allocate(size_t size)
{
    size_t rounded = (size + 15) & ~(size_t)15;

    if (rounded < size || rounded > ARENA_SIZE - arena_used)
        return NULL;
    arena_used += rounded;
    return arena + arena_used - rounded;
}

static void arena_free(void *memory)
{
    (void)memory;
}

static bool is_word(const cJSON *item, const char *word)
{
    return cJSON_IsString(item) && strcmp(item->valuestring, word) == 0;
}

static bool in_range(const cJSON *item, double from, double to)
{
    return cJSON_IsNumber(item) && item->valuedouble >= from && item->valuedouble <= to;
}

/* The five params of five.c. */
static cJSON *reply_five(const cJSON *params)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(params, "name");
    const cJSON *times = cJSON_GetObjectItemCaseSensitive(params, "times");
    const cJSON *price = cJSON_GetObjectItemCaseSensitive(params, "price");
    const cJSON *mood = cJSON_GetObjectItemCaseSensitive(params, "mood");
    const cJSON *loud = cJSON_GetObjectItemCaseSensitive(params, "loud");
    cJSON *reply = cJSON_CreateObject();
    bool good = cJSON_IsString(name) && name->valuestring[0] != '\0' &&
                strlen(name->valuestring) <= 40 && in_range(times, 1, 100) &&
                in_range(price, 0, 1e6) && (is_word(mood, "calm") || is_word(mood, "cheerful")) &&
                cJSON_IsBool(loud);

    cJSON_AddStringToObject(reply, "out", good ? "five" : "error");
    cJSON_AddTrueToObject(reply, "result");
    return reply;
}

static cJSON *reply_build(const cJSON *request)
{
    const cJSON *in = cJSON_GetObjectItemCaseSensitive(request, "in");
    const cJSON *params = cJSON_GetObjectItemCaseSensitive(request, "params");
    if (is_word(in, "five"))
        return reply_five(params);
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(params, "n");
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(params, "name");
    cJSON *reply = cJSON_CreateObject();

    if (!is_word(in, "build") || !cJSON_IsNumber(number) || !cJSON_IsString(name)) {
        cJSON_AddStringToObject(reply, "out", "error");
        return reply;
    }
    cJSON_AddStringToObject(reply, "out", "built");
    cJSON *result = cJSON_AddObjectToObject(reply, "result");
    cJSON_AddNumberToObject(result, "n", number->valuedouble + 1);
    cJSON_AddStringToObject(result, "name", name->valuestring);
    return reply;
}

/* Writes the reply's frame; its size, or 0 when it does not fit. */
static size_t reply_write(const char *body, size_t size, char *reply, size_t room)
{
    arena_used = 0;
    cJSON *tree = reply_build(cJSON_ParseWithLength(body, size));
    if (!cJSON_PrintPreallocated(tree, reply + FRAME_HEADER, (int)(room - FRAME_HEADER), false))
        return 0;
    uint32_t length = (uint32_t)strlen(reply + FRAME_HEADER);
    memcpy(reply, &length, sizeof(length));
    return FRAME_HEADER + length;
}

static void answer(int fd, char *frames, size_t size)
{
    size_t queued = 0;

    for (size_t at = 0; at < size;) {
        uint32_t length = frame_length(frames + at);
        if (sizeof(replies) - queued < REPLY_ROOM) {
            bare_send(fd, replies, queued);
            queued = 0;
        }
        queued += reply_write(frames + at + FRAME_HEADER, length, replies + queued, REPLY_ROOM);
        at += FRAME_HEADER + length;
    }
    bare_send(fd, replies, queued);
}

int main(int argc, char **argv)
{
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = arena_allocate, .free_fn = arena_free});
    return bare_serve(argc, argv, answer);
}
