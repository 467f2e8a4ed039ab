/* The helper that finds libraries beside a module. See origin.h. */
#include "module/origin.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>

#include "base/bytes.h"
#include "base/sealed.h"
#include "module/elf_image.h"

#define PAGE_MAX 65536u /* the largest page of the machines that there are */

static const char *const tokens[] = {"${ORIGIN}", "$ORIGIN"};

/* Appends the search path, with `folder` in place of $ORIGIN. Other tokens are the linker's. */
static void append_search(struct text *to, const char *search, const char *folder)
{
    while (*search != '\0') {
        size_t size = 0;
        for (size_t t = 0; t < sizeof(tokens) / sizeof(*tokens) && size == 0; t++) {
            if (strncmp(search, tokens[t], strlen(tokens[t])) == 0)
                size = strlen(tokens[t]);
        }
        if (size > 0)
            text_append_string(to, folder);
        else
            text_append_char(to, *search);
        search += size > 0 ? size : 1;
    }
    text_append_char(to, '\0');
}

static void append_entry(struct text *to, int64_t tag, size_t value)
{
    const ElfW(Dyn) entry = {.d_tag = (ElfW(Sxword))tag, .d_un.d_val = value};
    text_append(to, (struct bytes){(const char *)&entry, sizeof(entry)});
}

static void append_string(struct text *to, const char *string)
{
    text_append(to, (struct bytes){string, strlen(string) + 1});
}

/* The helper's table for the linker, and its strings: see elf(5), "Dynamic tags". */
static void append_needs(const struct elf_image *image, const char *opened, const char *folder,
                         struct text *table, struct text *strings)
{
    const char *needed = opened;
    int64_t tag;
    const char *search = elf_image_search(image, &tag);

    append_string(strings, ""); /* number 0 */
    for (size_t i = 0; needed != NULL; needed = elf_image_needed(image, i++)) {
        append_entry(table, DT_NEEDED, strings->size);
        append_string(strings, needed);
    }
    append_entry(table, tag, strings->size);
    append_search(strings, search, folder);
}

/* Writes the whole file: header, segments, one symbol, which is none, table and strings. It is
 * loaded at 0, so its places are its addresses. */
static void append_file(struct text *to, const ElfW(Ehdr) * module, struct text *table,
                        const struct text *strings)
{
    enum { SEGMENTS = 3 };
    const ElfW(Sym) none = {0};
    ElfW(Ehdr) header = *module; /* for the same machine */
    const size_t symbol_at = sizeof(header) + SEGMENTS * sizeof(ElfW(Phdr));
    const size_t table_at = symbol_at + sizeof(none);
    const size_t table_size = table->size + 5 * sizeof(ElfW(Dyn)); /* with those that follow */
    const size_t strings_at = table_at + table_size, size = strings_at + strings->size;
    const ElfW(Phdr) segments[SEGMENTS] = {
        {.p_type = PT_LOAD,
         .p_flags = PF_R | PF_W,
         .p_filesz = size,
         .p_memsz = size,
         .p_align = PAGE_MAX},
        {.p_type = PT_DYNAMIC,
         .p_flags = PF_R | PF_W,
         .p_offset = table_at,
         .p_vaddr = table_at,
         .p_paddr = table_at,
         .p_filesz = table_size,
         .p_memsz = table_size,
         .p_align = sizeof(ElfW(Addr))},
        {.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W}, /* not executable */
    };

    append_entry(table, DT_STRTAB, strings_at);
    append_entry(table, DT_STRSZ, strings->size);
    append_entry(table, DT_SYMTAB, symbol_at);
    append_entry(table, DT_SYMENT, sizeof(none));
    append_entry(table, DT_NULL, 0);
    header.e_type = ET_DYN;
    header.e_entry = header.e_shoff = 0;
    header.e_phoff = sizeof(header);
    header.e_phnum = SEGMENTS;
    header.e_shnum = header.e_shstrndx = 0;
    text_append(to, (struct bytes){(const char *)&header, sizeof(header)});
    text_append(to, (struct bytes){(const char *)segments, sizeof(segments)});
    text_append(to, (struct bytes){(const char *)&none, sizeof(none)});
    text_append(to, (struct bytes){table->data, table->size});
    text_append(to, (struct bytes){strings->data, strings->size});
}

/* The folder that the file lies in. One with a colon, which the linker would take for its end, by a
 * descriptor that stays open: its libraries may look there for others. */
static bool append_folder(struct text *to, const char *path, struct error *error)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        text_append_string(to, ".");
    else
        text_append(to, (struct bytes){path, (size_t)(slash - path)});
    if (strchr(text_string(to), ':') == NULL)
        return true;
    int fd = open(text_string(to), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, "looks for libraries in its folder %s, which cannot be opened",
                           text_string(to));
    text_clear(to);
    text_printf(to, "/proc/self/fd/%d", fd);
    return true;
}

static int make_helper(const char *path, const struct elf_image *image, const char *opened,
                       struct error *error)
{
    struct text folder = {0}, table = {0}, strings = {0}, file = {0};
    int fd = -1;

    if (append_folder(&folder, path, error)) {
        append_needs(image, opened, text_string(&folder), &table, &strings);
        append_file(&file, (const ElfW(Ehdr) *)(const void *)image->file, &table, &strings);
        fd = sealed_bytes("origin", (struct bytes){file.data, file.size}, error);
    }
    text_free(&folder);
    text_free(&table);
    text_free(&strings);
    text_free(&file);
    return fd;
}

bool origin_helper(const char *path, int fd, const char *opened, int *helper, struct error *error)
{
    struct elf_image image;
    struct bytes file;
    int64_t tag;

    *helper = -1;
    if (!sealed_map(fd, &file, error))
        return false;
    bool open = elf_image_open(file, &image, error);
    sealed_unmap(file);
    if (!open)
        return true; /* dlopen(3) will report the mistake better */
    const char *search = elf_image_search(&image, &tag);
    bool wanted = search != NULL && strstr(search, "ORIGIN") != NULL;
    if (wanted)
        *helper = make_helper(path, &image, opened, error);
    elf_image_close(&image);
    return !wanted || *helper >= 0;
}
