/* What reading a module's file without running it promises: see core/module/manifest.h. Modules of
 * the build are read as they are, and damaged in every way. */
#include "unit.h"

#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sealed.h"
#include "built.h"
#include "guarded.h"
#include "module/manifest.h"
#include "must.h"

static struct bytes module;
static char *copy;
static struct error error;
static struct manifest manifest;

/* A module below the build. */
static void load(const char *name)
{
    const char *path = built_path(name);
    int fd = sealed_copy(path, &error);
    ck_assert_msg(fd >= 0, "%s: %s", path, error.text);
    ck_assert_msg(sealed_map(fd, &module, &error), "%s", error.text);
    close(fd);
    copy = realloc(copy, module.size);
    memcpy(copy, module.data, module.size);
}

/* Reads the copy, everything that was read included. */
static bool read_copy(void)
{
    size_t seen = 0;

    error.text[0] = '\0';
    bool good = manifest_read(guarded((struct bytes){copy, module.size}), &manifest, &error);
    must(good || error.text[0] != '\0');
    if (!good)
        return false;
    for (const pillion_method *m = manifest.descriptor.methods; m->name != NULL; m++)
        seen += strlen(m->name) + (m->summary == NULL ? 0 : strlen(m->summary));
    for (const pillion_directive *d = manifest.descriptor.directives; d->name != NULL; d++) {
        seen += strlen(d->name) + (d->fallback == NULL ? 0 : strlen(d->fallback));
        for (const char *const *word = d->words; word != NULL && *word != NULL; word++)
            seen += strlen(*word);
    }
    for (const char *const *name = manifest.needed; *name != NULL; name++)
        seen += strlen(*name);
    must(seen < SIZE_MAX);
    return true;
}

static void expect_good(void)
{
    bool good = read_copy();
    ck_assert_msg(good, "%s", error.text);
}

static void restore(void)
{
    memcpy(copy, module.data, module.size);
}

/* ---- Good files ---- */

START_TEST(a_module_tells_everything_of_its_descriptor)
{
    load("modules/hello.so");
    expect_good();
    const pillion_module *hello = &manifest.descriptor;
    ck_assert_str_eq(manifest.refusal.text, "");
    ck_assert_uint_eq(manifest.facts.abi_major, PILLION_ABI_MAJOR);
    ck_assert_str_eq(hello->name, "hello");
    ck_assert_str_eq(hello->version, "1.0.0");
    ck_assert_ptr_nonnull(strstr(hello->summary, "teaches"));
    ck_assert_str_eq(hello->methods[0].name, "greet");
    ck_assert_ptr_nonnull(strstr(hello->methods[0].params, "\"required\""));
    ck_assert_str_eq(hello->methods[1].name, "hello.count");
    ck_assert_ptr_null(hello->methods[1].params);
    ck_assert_ptr_null(hello->methods[2].name);
    ck_assert_str_eq(hello->directives[2].name, "max_name");
    ck_assert_int_eq(hello->directives[2].type, PILLION_INTEGER);
    ck_assert_int_eq(hello->directives[2].max, 1000);
    ck_assert_ptr_null(hello->directives[2].words);
    ck_assert_str_eq(hello->directives[3].words[1], "cheerful");
    ck_assert_ptr_null(hello->directives[3].words[2]);
    ck_assert_ptr_null(hello->directives[4].name);
    ck_assert(hello->check != NULL && hello->start != NULL && hello->stop != NULL);
    ck_assert_ptr_nonnull(manifest.built_by[0]);
    manifest_close(&manifest);
}
END_TEST

START_TEST(a_module_without_directives_has_empty_tables)
{
    load("modules/ping.so");
    expect_good();
    ck_assert_str_eq(manifest.descriptor.methods[0].name, "ping");
    ck_assert_ptr_nonnull(manifest.descriptor.methods[0].handler);
    ck_assert_ptr_null(manifest.descriptor.directives[0].name);
    ck_assert_ptr_null(manifest.descriptor.summary);
    ck_assert_ptr_null((void *)(uintptr_t)manifest.descriptor.check);
    manifest_close(&manifest);
}
END_TEST

START_TEST(a_module_in_cxx_names_its_libraries)
{
    bool found = false;

    load("tests/modules/cxx.so");
    expect_good();
    ck_assert_str_eq(manifest.descriptor.methods[0].name, "reverse");
    for (const char *const *name = manifest.needed; *name != NULL; name++)
        found = found || strncmp(*name, "libstdc++.so", 12) == 0;
    ck_assert(found);
    manifest_close(&manifest);
}
END_TEST

/* Its constructor would end this process. */
START_TEST(constructors_do_not_run)
{
    load("tests/modules/ctor_exit.so");
    expect_good();
    ck_assert_str_eq(manifest.descriptor.name, "ctor_exit");
    manifest_close(&manifest);
}
END_TEST

/* ---- Refusals ---- */

static void says(const char *words)
{
    ck_assert(!read_copy());
    ck_assert_msg(strstr(error.text, words) != NULL, "%s, instead of: %s", error.text, words);
}

/* Replaces a text in the whole file, by one of the same size. */
static void replace(const char *from, const char *to)
{
    size_t size = strlen(from) + 1, found = 0;

    for (size_t at = 0; at + size <= module.size; at++) {
        if (memcmp(copy + at, from, size) != 0)
            continue;
        memcpy(copy + at, to, size);
        found++;
    }
    ck_assert_uint_gt(found, 0);
}

START_TEST(files_without_a_usable_descriptor_are_refused_by_reason)
{
    load("tests/modules/no_descriptor.so");
    says("no Pillion module");
    load("tests/modules/abi_major.so");
    says("needs module API 7.0");
    load("modules/ping.so");
    replace("pillion_module_descriptor", "pillion_module_descriptoR");
    says("does not export pillion_module_descriptor");
}
END_TEST

/* The loader's message is known without loading. */
START_TEST(a_module_that_this_server_would_refuse_is_told)
{
    load("modules/hello.so");
    replace("hello.count", "hello\tcount");
    expect_good();
    ck_assert_ptr_nonnull(strstr(manifest.refusal.text, "printable"));
    manifest_close(&manifest);
    load("tests/modules/crash.so");
    replace("exit0", "exit1");
    expect_good();
    ck_assert_ptr_nonnull(strstr(manifest.refusal.text, "in the table twice"));
    manifest_close(&manifest);
}
END_TEST

/* ---- Damage ---- */

static const ElfW(Ehdr) * header(void)
{
    return (const ElfW(Ehdr) *)(const void *)module.data;
}

static void try_copy(void)
{
    if (read_copy())
        manifest_close(&manifest);
}

static void damage(size_t from, size_t to)
{
    for (size_t at = from; at < to; at++) {
        static const int values[] = {0, 1, 0x7f, 0x80, 0xff};
        for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
            copy[at] = (char)values[i];
            try_copy();
        }
        copy[at] = module.data[at];
    }
}

/* The tables that lead to the descriptor, the descriptor, and the tables of sections: all but code
 * and debugging information. */
START_TEST(any_byte_of_its_tables_may_be_wrong)
{
    load("modules/hello.so");
    damage(0, header()->e_phoff + (size_t)header()->e_phnum * header()->e_phentsize);
    const ElfW(Phdr) *segment = (const void *)(module.data + header()->e_phoff);
    for (unsigned i = 0; i < header()->e_phnum; i++) {
        if (segment[i].p_type == PT_DYNAMIC || segment[i].p_type == PT_GNU_RELRO ||
            (segment[i].p_type == PT_LOAD && segment[i].p_offset == 0))
            damage(segment[i].p_offset, segment[i].p_offset + segment[i].p_filesz);
    }
    damage(header()->e_shoff,
           header()->e_shoff + (size_t)header()->e_shnum * header()->e_shentsize);
}
END_TEST

START_TEST(many_bytes_may_be_wrong_at_once)
{
    load("modules/hello.so");
    for (unsigned round = 0; round < 5000; round++) {
        for (unsigned i = 0; i < 8; i++)
            copy[16 + random_below((uint32_t)module.size - 16)] = (char)random_below(256);
        try_copy();
        if (round % 10 == 9)
            restore();
    }
}
END_TEST

UNIT_MAIN("manifest", a_module_tells_everything_of_its_descriptor,
          a_module_without_directives_has_empty_tables, a_module_in_cxx_names_its_libraries,
          constructors_do_not_run, files_without_a_usable_descriptor_are_refused_by_reason,
          a_module_that_this_server_would_refuse_is_told, any_byte_of_its_tables_may_be_wrong,
          many_bytes_may_be_wrong_at_once)
