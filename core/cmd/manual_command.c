/* `pillion manual PAGE [FILE.so…]`: the page with its tables filled, as the build makes manual
 * pages. manual.h tells what a page may ask for. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/sealed.h"
#include "cmd/commands.h"
#include "cmd/manual.h"

static bool fill(const char *path, const char *const *modules, struct text *out,
                 struct error *error)
{
    struct text written = {0};
    struct bytes page;

    int fd = sealed_copy(path, error);
    if (fd < 0)
        return false;
    bool good = sealed_map(fd, &page, error);
    if (good) {
        text_append(&written, page);
        sealed_unmap(page);
        good = manual_page(out, text_string(&written), modules, error);
    }
    text_free(&written);
    close(fd);
    return good;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct text out = {0};
    struct error error;
    int status;

    if (argc < 2)
        return command_misused(self, "which PAGE?");
    /* argv ends with NULL */
    if (fill(argv[1], (const char *const *)argv + 2, &out, &error)) {
        fwrite(text_string(&out), 1, out.size, stdout);
        status = command_flush(self, EXIT_SUCCESS);
    } else {
        status = command_failed(self, EXIT_FAILURE, "%s: %s", argv[1], error.text);
    }
    text_free(&out);
    return status;
}

static const struct option_row options[] = {{0, NULL, NULL, NULL}};

const struct command manual_command = {
    .name = "manual",
    .run = run,
    .usage = "PAGE [FILE.so…]",
    .summary = "Fills the tables of a manual page, as the build does.",
    .options = options,
};
