/* Finding replies, and counting errors. See bench_replies.h. */
#include "cmd/bench_replies.h"

#include <stdio.h>
#include <string.h>

#define FIRST_ERROR_MAX 4096u

void replies_begin(struct replies *replies, const struct dialect *dialect,
                   struct reply_errors *errors)
{
    *replies = (struct replies){
        .dialect = dialect, .error_start = dialect_error_start(dialect), .errors = errors};
}

/* ---- Errors ---- */

static bool is_error(const struct replies *replies, struct bytes body)
{
    const struct bytes start = replies->error_start;

    return body.size >= start.size && memcmp(body.data, start.data, start.size) == 0;
}

/* Replies are objects. Servers of other protocols answer with something else, and quickly. */
static bool is_object(struct bytes body)
{
    return body.size > 0 && (body.data[0] == '{' || strchr(" \t\r\n", body.data[0]) != NULL);
}

/* Keeps a part of the first error reply. */
static void keep_error(struct replies *replies, struct bytes part)
{
    struct text *kept = &replies->errors->first;

    if (part.size > FIRST_ERROR_MAX - kept->size)
        part.size = FIRST_ERROR_MAX - kept->size;
    text_append(kept, part);
}

/* Writes the `code` of an error reply to `name`, as it was sent. `status` is HTTP's, or 0. */
static void read_code(const struct replies *replies, struct bytes body, unsigned status,
                      char name[REPLY_CODE_SIZE])
{
    const struct bytes bare = BYTES("{\"code\":");
    struct bytes before = replies->dialect->jsonrpc
                              ? BYTES("{\"jsonrpc\":\"2.0\",\"error\":{\"code\":")
                              : BYTES("{\"out\":\"error\",\"result\":{\"code\":");
    size_t size = 0;

    if (status != 0 && body.size > bare.size && memcmp(body.data, bare.data, bare.size) == 0)
        before = bare;

    if (body.size > before.size && memcmp(body.data, before.data, before.size) == 0) {
        const char *code = body.data + before.size, *end = body.data + body.size;
        for (code += *code == '"'; code < end && size < REPLY_CODE_SIZE - 1; code++) {
            if (strchr("\",}", *code) != NULL)
                break;
            name[size++] = *code;
        }
        name[size] = '\0';
    } else if (status != 0) {
        snprintf(name, REPLY_CODE_SIZE, "HTTP %u", status);
    } else {
        snprintf(name, REPLY_CODE_SIZE, "error");
    }
}

static void count_code(struct replies *replies, struct bytes body, unsigned status)
{
    struct reply_code *codes = replies->errors->codes;
    char name[REPLY_CODE_SIZE];
    size_t i = 0;

    read_code(replies, body, status, name);
    while (i < REPLY_CODES - 1 && codes[i].count > 0 && strcmp(codes[i].name, name) != 0)
        i++;
    if (codes[i].count++ == 0)
        memcpy(codes[i].name, name, sizeof(name));
    else if (strcmp(codes[i].name, name) != 0)
        snprintf(codes[i].name, sizeof(codes[i].name), "others");
}

/* Counts the reply that begins with `body`, if it is an error. `part` is NULL when all of it is
 * there. False when it is no reply. */
static bool look(struct replies *replies, const struct reply_part *part, struct bytes body,
                 unsigned status)
{
    if (status < 300 && !is_error(replies, body))
        return is_object(body);
    count_code(replies, body, status);
    if (replies->errors->count++ == 0) {
        replies->first_of = part;
        keep_error(replies, body);
    }
    return true;
}

/* ---- Replies ---- */

/* The body's size. */
static uint32_t size_of(const char *header)
{
    struct frame frame;

    frame_next((struct bytes){header, FRAME_HEADER_SIZE}, UINT32_MAX, &frame);
    return (uint32_t)(frame.size - FRAME_HEADER_SIZE);
}

/* Takes bytes of a reply that arrives in several reads. Returns how many it took; sets `whole` at
 * the reply's end. */
static size_t take_part(struct replies *replies, struct reply_part *part, struct bytes input,
                        bool *whole)
{
    size_t taken = 0;
    bool looked = part->have == sizeof(part->start);

    while (taken < input.size && (part->have < FRAME_HEADER_SIZE ||
                                  (part->left > 0 && part->have < sizeof(part->start)))) {
        part->start[part->have++] = input.data[taken++];
        if (part->have == FRAME_HEADER_SIZE)
            part->left = size_of(part->start);
        else if (part->have > FRAME_HEADER_SIZE)
            part->left--;
    }
    struct bytes start = {part->start + FRAME_HEADER_SIZE, 0};
    if (!looked && part->have > FRAME_HEADER_SIZE &&
        (part->have == sizeof(part->start) || part->left == 0)) {
        start.size = part->have - FRAME_HEADER_SIZE;
        part->odd = !look(replies, part, start, 0);
    }
    size_t rest = input.size - taken;
    if (part->have >= FRAME_HEADER_SIZE) {
        if (rest > part->left)
            rest = (size_t)part->left;
        if (replies->first_of == part)
            keep_error(replies, (struct bytes){input.data + taken, rest});
        part->left -= rest;
        taken += rest;
        *whole = part->left == 0;
    }
    if (*whole) {
        part->have = 0;
        if (replies->first_of == part)
            replies->first_of = NULL;
    }
    return taken;
}

/* Counts the replies in `input`, of a protocol other than frames, and keeps the start of one that
 * is not whole. False when they cannot be read. */
static bool count_others(struct replies *replies, struct reply_part *part, struct bytes input,
                         uint32_t *count)
{
    struct http_response response = {0};
    bool kept = part->rest.size > 0;
    enum frame_status status;
    struct frame frame;

    if (kept) {
        text_append(&part->rest, input);
        input = (struct bytes){part->rest.data, part->rest.size};
    }
    for (;;) {
        status = dialect_next(replies->dialect, input, &part->progress, &response, &frame);
        if (status != FRAME_WHOLE && status != FRAME_EMPTY)
            break;
        part->progress = (struct frame_progress){0};
        *count += status == FRAME_WHOLE;
        if (status == FRAME_WHOLE && !look(replies, NULL, frame.body, response.status)) {
            status = FRAME_REFUSED;
            break;
        }
        input.data += frame.size;
        input.size -= (size_t)frame.size;
    }
    if (kept) {
        memmove(part->rest.data, input.data, input.size);
        part->rest.size = input.size;
    } else {
        text_append(&part->rest, input);
    }
    return status == FRAME_PARTIAL;
}

/* Counts the replies in `input`, which are frames. False when they are no replies. */
static bool count_frames(struct replies *replies, struct reply_part *part, struct bytes input,
                         uint32_t *count)
{
    while (input.size > 0) {
        bool whole = false;
        struct frame frame;
        size_t taken;
        if (part->have == 0 && frame_next(input, UINT32_MAX, &frame) == FRAME_WHOLE) {
            whole = true;
            taken = (size_t)frame.size;
            part->odd |= !look(replies, NULL, frame.body, 0);
        } else {
            taken = take_part(replies, part, input, &whole);
        }
        part->odd |= part->left > FRAME_BODY_MAX;
        *count += whole;
        input.data += taken;
        input.size -= taken;
    }
    return !part->odd;
}

bool replies_count(struct replies *replies, struct reply_part *part, struct bytes input,
                   uint32_t *count)
{
    return replies->dialect->protocol == PROTOCOL_FRAME ? count_frames(replies, part, input, count)
                                                        : count_others(replies, part, input, count);
}
