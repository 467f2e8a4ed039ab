/* `pillion doc TOPIC`: documentation that is made from the server's own tables, so that docs/
 * cannot disagree with the program; and `pillion doc FILE.so`: that of a module, made from its
 * descriptor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"
#include "cmd/commands.h"
#include "cmd/describe.h"
#include "conf/settings_table.h"
#include "wire/error_code.h"

static const struct {
    const char *name;
    void (*write)(struct text *out);
    const char *summary;
} topics[] = {
    {"configuration", settings_reference, "every directive (docs/configuration.md)"},
    {"errors", error_codes_reference, "every error that clients are told (docs/errors.md)"},
};

#define TOPIC_COUNT (sizeof(topics) / sizeof(*topics))

static int list(const struct command *self)
{
    printf("Topics of \"pillion doc\":\n");
    for (size_t i = 0; i < TOPIC_COUNT; i++)
        printf("  %-16s%s\n", topics[i].name, topics[i].summary);
    return command_flush(self, EXIT_SUCCESS);
}

/* True for a file's name, as opposed to a topic's. */
static bool is_file(const char *operand)
{
    size_t size = strlen(operand);
    return strchr(operand, '/') != NULL || (size > 3 && strcmp(operand + size - 3, ".so") == 0);
}

static int document(const struct command *self, const char *path)
{
    struct manifest manifest;
    struct text out = {0};
    struct error error;

    if (!describe_read(path, &manifest, &error))
        return command_failed(self, EXIT_FAILURE, "%s", error.text);
    describe_markdown(&out, &manifest);
    manifest_close(&manifest);
    fwrite(text_string(&out), 1, out.size, stdout);
    text_free(&out);
    return command_flush(self, EXIT_SUCCESS);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args args = {.command = self, .argc = argc, .argv = argv, .next = 1};

    int id = args_next(&args);
    if (id != ARGS_END)
        return id == ARGS_HELP ? command_flush(self, EXIT_SUCCESS) : EXIT_USAGE;
    const char *topic = args_operand(&args);
    if (topic == NULL)
        return list(self);
    if (args_operand(&args) != NULL)
        return command_misused(self, "one topic at a time");
    if (is_file(topic))
        return document(self, topic);
    struct suggest suggest = suggest_start(topic);
    for (size_t i = 0; i < TOPIC_COUNT; i++) {
        suggest_offer(&suggest, topics[i].name);
        if (strcmp(topics[i].name, topic) != 0)
            continue;
        struct text out = {0};
        topics[i].write(&out);
        fwrite(text_string(&out), 1, out.size, stdout);
        text_free(&out);
        return command_flush(self, EXIT_SUCCESS);
    }
    if (suggest.nearest != NULL)
        return command_misused(self, "there is no topic \"%s\"; did you mean \"%s\"?", topic,
                               suggest.nearest);
    return command_misused(self, "there is no topic \"%s\"; \"pillion doc\" lists them", topic);
}

static const struct option_row options[] = {{0, NULL, NULL, NULL}};

const struct command doc_command = {
    .name = "doc",
    .run = run,
    .usage = "[TOPIC | FILE.so]",
    .summary = "Prints documentation that is made from the server itself, or from a module.",
    .options = options,
};
