/* Loading libraries that lie beside a module. See origin.h. */
#include "module/origin.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/sealed.h"
#include "module/elf_image.h"

static const char *const tokens[] = {"${ORIGIN}", "$ORIGIN"};

/* Writes a folder of the search path, with the module's own folder in place of $ORIGIN. False when
 * the entry has no $ORIGIN, or other tokens, too: then the dynamic linker is to find it. */
static bool expand(struct bytes entry, struct bytes folder, struct text *to)
{
    bool named = false;

    text_clear(to);
    for (size_t i = 0; i < entry.size;) {
        size_t skipped = 0;
        for (size_t t = 0; t < sizeof(tokens) / sizeof(*tokens) && skipped == 0; t++) {
            size_t size = strlen(tokens[t]);
            if (entry.size - i >= size && memcmp(entry.data + i, tokens[t], size) == 0)
                skipped = size;
        }
        if (skipped == 0 && entry.data[i] == '$')
            return false;
        if (skipped > 0)
            text_append(to, folder);
        else
            text_append_char(to, entry.data[i]);
        named = named || skipped > 0;
        i += skipped > 0 ? skipped : 1;
    }
    return named;
}

/* Loads the library from the first folder that has it. */
static bool load_needed(const char *needed, const char *search, struct bytes folder,
                        struct error *error)
{
    struct text path = {0};
    bool good = true, found = false;

    for (size_t size; *search != '\0' && !found; search += size + (search[size] == ':')) {
        size = strcspn(search, ":");
        if (!expand((struct bytes){search, size}, folder, &path))
            continue;
        text_printf(&path, "/%s", needed);
        found = access(text_string(&path), R_OK) == 0;
    }
    if (found && dlopen(text_string(&path), RTLD_NOW | RTLD_LOCAL) == NULL)
        good = error_set(error, "needs %s: %s", text_string(&path), dlerror());
    text_free(&path);
    return good;
}

bool origin_load(const char *path, int fd, struct error *error)
{
    const char *slash = strrchr(path, '/'), *needed;
    struct bytes folder = slash == NULL ? BYTES(".") : (struct bytes){path, (size_t)(slash - path)};
    struct elf_image image;
    struct bytes file;
    bool good = true;

    if (!sealed_map(fd, &file, error))
        return false;
    bool open = elf_image_open(file, &image, error);
    sealed_unmap(file);
    if (!open)
        return true; /* dlopen(3) will report the mistake better */
    const char *search = elf_image_search(&image);
    if (search != NULL && strstr(search, "ORIGIN") != NULL) {
        for (size_t i = 0; good && (needed = elf_image_needed(&image, i)) != NULL; i++)
            good = strchr(needed, '/') != NULL || load_needed(needed, search, folder, error);
    }
    elf_image_close(&image);
    return good;
}
