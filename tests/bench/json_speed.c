/* Measures the strict JSON pass, beside memchr(3) and strlen(3) over the same bytes.
 *
 * Prints nanoseconds for each small envelope and gigabytes a second for bodies of 64 KiB, the best
 * of several rounds: other work on the machine only ever slows a round down. Links wire and base.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "wire/envelope.h"

#define BODY_SIZE (64 * 1024)
#define ROUNDS    15
#define ROUND_NS  (20 * NS_PER_MS)

static const struct json_limits limits = {64, 1000000};

/* The timed work, one function each. Returns 1 when the body is as it should be. */
static size_t work_memchr(struct bytes body)
{
    return memchr(body.data, '\x01', body.size) == NULL;
}

static size_t work_strlen(struct bytes body)
{
    return strlen(body.data) == body.size;
}

static size_t work_check(struct bytes body)
{
    struct json_error error;

    return json_check(body, &limits, &error);
}

static size_t work_envelope(struct bytes body)
{
    struct envelope envelope;
    struct json_error error;

    return envelope_read(body, &limits, &envelope, &error) == ENVELOPE_OK;
}

static double best_ns(size_t (*work)(struct bytes body), struct bytes body)
{
    double best = 1e18;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = clock_ns(), now = start, calls = 0;
        do {
            for (int i = 0; i < 16; i++) {
                __asm__ volatile("" : : "r"(body.data) : "memory");
                if (work(body) != 1) {
                    fprintf(stderr, "json_speed: a body was refused\n");
                    exit(EXIT_FAILURE);
                }
            }
            calls += 16;
            now = clock_ns();
        } while (now - start < ROUND_NS);
        double ns = (double)(now - start) / (double)calls;
        best = ns < best ? ns : best;
    }
    return best;
}

static void report_small(const char *name, struct bytes body)
{
    printf("%-24s %4zu bytes  envelope_read %6.1f ns\n", name, body.size,
           best_ns(work_envelope, body));
}

static void report_large(const char *name, struct bytes body)
{
    double size = (double)body.size;

    printf("%-24s %6zu bytes  envelope_read %6.2f GB/s  json_check %6.2f GB/s  memchr %6.2f GB/s  "
           "strlen %6.2f GB/s\n",
           name, body.size, size / best_ns(work_envelope, body), size / best_ns(work_check, body),
           size / best_ns(work_memchr, body), size / best_ns(work_strlen, body));
}

/* A request whose params are an array of `element`, each time with another number in it, until the
 * body is large enough. */
static void report_array(const char *name, const char *element)
{
    struct text body = {0};

    text_append_string(&body, "{\"in\": \"echo\", \"params\": [");
    for (unsigned i = 0; body.size < BODY_SIZE; i++) {
        if (i > 0)
            text_append_string(&body, ", ");
        for (const char *p = element; *p != '\0'; p++) {
            if (*p == '#')
                text_printf(&body, "%u", i * 2654435761u >> 8);
            else
                text_append_char(&body, *p);
        }
    }
    text_append_string(&body, "], \"id\": 1}");
    report_large(name, (struct bytes){body.data, body.size});
    text_free(&body);
}

int main(void)
{
    report_small("ping", BYTES("{\"in\": \"ping\", \"params\": null, \"id\": 17}"));
    report_small("ping without id", BYTES("{\"in\":\"ping\",\"params\":{}}"));
    report_small("small record",
                 BYTES("{\"in\": \"user.update\", \"params\": {\"id\": 81723, \"name\": \"Ada "
                       "Lovelace\", \"tags\": [\"a\", \"b\"], \"rate\": 0.25}, \"id\": \"c-17\"}"));
    report_array("strings, long",
                 "\"# The quick brown fox jumps over the lazy dog and runs on through the wood, "
                 "past the mill and the bridge, until the evening comes and the lamps are lit; "
                 "then it sleeps, and dreams of dogs that are less lazy than this one was.\"");
    report_array("strings, short", "\"value-#\", \"name\", \"of a thing\"");
    report_array("strings, some escapes",
                 "\"line # of a text\\nand another one, with a \\\"quoted\\\" word in it\\n\"");
    report_array(
        "strings, Cyrillic",
        "\"# \xd0\xa1\xd1\x8a\xd0\xb5\xd1\x88\xd1\x8c \xd0\xb6\xd0\xb5 \xd0\xb5\xd1\x89\xd1"
        "\x91 \xd1\x8d\xd1\x82\xd0\xb8\xd1\x85 \xd0\xbc\xd1\x8f\xd0\xb3\xd0\xba\xd0\xb8\xd1"
        "\x85\"");
    report_array("strings, Chinese",
                 "\"# \xe5\xa4\xa9\xe5\x9c\xb0\xe7\x8e\x84\xe9\xbb\x84\xe5\xae\x87\xe5\xae\x99\xe6"
                 "\xb4\xaa\xe8\x8d\x92\xe6\x97\xa5\xe6\x9c\x88\xe7\x9b\x88\xe6\x98\x83\"");
    report_array("numbers", "#, -#.5, 0.#e-7, 7");
    report_array("mixed", "{\"id\": #, \"name\": \"user name #\", \"mail\": "
                          "\"someone.else@example.org\", \"active\": true, \"score\": 12.75, "
                          "\"tags\": [\"red\", \"green\"], \"parent\": null}");
    return EXIT_SUCCESS;
}
