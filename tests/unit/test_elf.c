/* What looking at a module's file promises: see core/module/elf.h. The file is a module of the
 * build, cut short and damaged in every way; each copy ends where memory ends. */
#include "unit.h"

#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include "base/sealed.h"
#include "built.h"
#include "guarded.h"
#include "module/elf.h"
#include "must.h"
#include <pillion/module.h>

static struct bytes module;
static char *copy;
static struct error error;
static struct elf_facts facts;

/* The build's ping.so. */
static void load(void)
{
    int fd = sealed_copy(built_path("modules/ping.so"), &error);
    ck_assert_msg(fd >= 0, "%s", error.text);
    ck_assert_msg(sealed_map(fd, &module, &error), "%s", error.text);
    copy = malloc(module.size);
    memcpy(copy, module.data, module.size);
}

static bool inspect(struct bytes file)
{
    error.text[0] = '\0';
    bool good = elf_inspect(guarded(file), &facts, &error);
    must(good || error.text[0] != '\0');
    return good;
}

static struct bytes damaged(void)
{
    return (struct bytes){copy, module.size};
}

static void says(struct bytes file, const char *words)
{
    ck_assert(!inspect(file));
    ck_assert_msg(strstr(error.text, words) != NULL, "%s, instead of: %s", error.text, words);
}

static ElfW(Ehdr) * header(void)
{
    return (ElfW(Ehdr) *)(void *)copy;
}

static ElfW(Phdr) * segment(unsigned i)
{
    return (ElfW(Phdr) *)(void *)(copy + header()->e_phoff) + i;
}

/* Where the numbers of Pillion's note are. */
static char *note_numbers(void)
{
    static const char name[] = "Pillion";

    for (size_t at = 12; at + 16 <= module.size; at += 4) {
        ElfW(Nhdr) note;
        memcpy(&note, copy + at - sizeof(note), sizeof(note));
        if (memcmp(copy + at, name, sizeof(name)) == 0 && note.n_type == PILLION_NOTE_TYPE &&
            note.n_namesz == sizeof(name))
            return copy + at + sizeof(name);
    }
    ck_abort_msg("the module has no note");
    return NULL;
}

static void restore(void)
{
    memcpy(copy, module.data, module.size);
}

START_TEST(elf_module_of_the_build_is_good)
{
    load();
    ck_assert_msg(inspect(module), "%s", error.text);
    ck_assert_uint_eq(facts.abi_major, PILLION_ABI_MAJOR);
    ck_assert_uint_eq(facts.abi_minor, PILLION_ABI_MINOR);
}
END_TEST

START_TEST(elf_cut_short_anywhere_is_said_to_be)
{
    load();
    says((struct bytes){module.data, 0}, "the file is empty");
    for (size_t size = 1; size < 4; size++)
        says((struct bytes){module.data, size}, "not an ELF file");
    for (size_t size = 4; size < sizeof(ElfW(Ehdr)) + 200; size++)
        says((struct bytes){module.data, size}, "the file is cut short");
    for (size_t size = 0; size < module.size; size += 16) {
        if (size >= 4)
            says((struct bytes){module.data, size}, "the file is cut short");
    }
    says((struct bytes){module.data, module.size - 1}, "the file is cut short");
}
END_TEST

START_TEST(elf_that_is_something_else_is_refused)
{
    load();
    says(BYTES("#!/bin/sh\necho hello\n"), "not an ELF file");
    says(BYTES("\x7f"
               "ELG and so on, for more bytes than a header has, or so one would think"),
         "not an ELF file");
    header()->e_type = ET_REL;
    says(damaged(), "not a shared object");
    header()->e_type = ET_EXEC;
    says(damaged(), "not a shared object");
    header()->e_type = 0xffff;
    says(damaged(), "not a shared object");
}
END_TEST

START_TEST(elf_of_another_machine_is_named)
{
    static const struct {
        unsigned number;
        const char *words;
    } machines[] = {
        {EM_AARCH64, "built for aarch64"},      {EM_X86_64, "built for x86-64"},
        {EM_RISCV, "built for RISC-V"},         {EM_386, "built for i386"},
        {EM_MIPS, "built for another machine"}, {0xffff, "built for another machine"},
    };

    load();
    unsigned own = header()->e_machine;
    for (size_t i = 0; i < sizeof(machines) / sizeof(*machines); i++) {
        if (machines[i].number == own)
            continue;
        header()->e_machine = (uint16_t)machines[i].number;
        says(damaged(), machines[i].words);
    }
    restore();
    copy[EI_CLASS] = copy[EI_CLASS] == ELFCLASS64 ? ELFCLASS32 : ELFCLASS64;
    says(damaged(), copy[EI_CLASS] == ELFCLASS64 ? "64-bit; this server" : "32-bit; this server");
    restore();
    copy[EI_DATA] ^= 3; /* the other byte order */
    ck_assert(!inspect(damaged()));
}
END_TEST

START_TEST(elf_tables_beyond_the_file_are_refused)
{
    load();
    header()->e_phoff = module.size - 8;
    says(damaged(), "cut short");
    header()->e_phoff = UINT64_MAX - 10;
    says(damaged(), "cut short");
    restore();
    header()->e_phentsize = sizeof(ElfW(Phdr)) - 1;
    says(damaged(), "cut short");
    restore();
    header()->e_phnum = 0xffff;
    ck_assert(!inspect(damaged()));
    restore();
    header()->e_phnum = 0;
    says(damaged(), "no Pillion module");
    restore();
    header()->e_shoff = UINT64_MAX - 100;
    says(damaged(), "cut short");
    restore();
    header()->e_shnum = 0xffff;
    says(damaged(), "cut short");
    restore();
    for (unsigned i = 0; i < header()->e_phnum; i++) {
        segment(i)->p_offset = module.size + 1;
        says(damaged(), "cut short");
        restore();
        segment(i)->p_filesz = UINT64_MAX - segment(i)->p_offset;
        says(damaged(), "cut short");
        restore();
        segment(i)->p_offset = UINT64_MAX;
        segment(i)->p_filesz = UINT64_MAX;
        says(damaged(), "cut short");
        restore();
    }
}
END_TEST

/* ---- The note ---- */

static void version(uint32_t major, uint32_t minor, const char *words)
{
    memcpy(note_numbers(), (uint32_t[]){major, minor}, 2 * sizeof(uint32_t));
    says(damaged(), words);
}

START_TEST(elf_of_another_interface_is_told_both_numbers)
{
    char words[128];

    load();
    snprintf(words, sizeof(words), "needs module API %u.7, this server offers %u.%u",
             PILLION_ABI_MAJOR + 1, PILLION_ABI_MAJOR, PILLION_ABI_MINOR);
    version(PILLION_ABI_MAJOR + 1, 7, words);
    ck_assert_ptr_nonnull(strstr(error.text, "or use a newer server"));
    snprintf(words, sizeof(words), "needs module API %u.%u, ", PILLION_ABI_MAJOR,
             PILLION_ABI_MINOR + 1);
    version(PILLION_ABI_MAJOR, PILLION_ABI_MINOR + 1, words);
    ck_assert_ptr_nonnull(strstr(error.text, "or use a newer server"));
    version(PILLION_ABI_MAJOR - 1, 0, "build it with this server's");
    ck_assert_ptr_null(strstr(error.text, "or use a newer server"));
    version(UINT32_MAX, UINT32_MAX, "needs module API 4294967295.4294967295");
}
END_TEST

START_TEST(elf_without_the_note_is_no_module)
{
    load();
    note_numbers()[-2] = 'm'; /* "Pilliom" */
    says(damaged(), "no Pillion module");
    restore();
    for (unsigned i = 0; i < header()->e_phnum; i++) {
        if (segment(i)->p_type == PT_NOTE)
            segment(i)->p_type = PT_NULL;
    }
    says(damaged(), "no Pillion module");
    restore();
    for (unsigned i = 0; i < header()->e_phnum; i++) {
        if (segment(i)->p_type == PT_NOTE)
            segment(i)->p_filesz = 11;
    }
    says(damaged(), "no Pillion module");
}
END_TEST

START_TEST(elf_notes_with_any_sizes_lead_nowhere)
{
    static const uint32_t sizes[] = {0,          1,          7,          8,          9,
                                     0x7fffffff, 0x80000000, 0xfffffffc, 0xfffffffd, 0xffffffff};
    const size_t count = sizeof(sizes) / sizeof(*sizes);

    load();
    for (unsigned i = 0; i < header()->e_phnum; i++) {
        if (segment(i)->p_type != PT_NOTE)
            continue;
        char *note = copy + segment(i)->p_offset;
        for (size_t n = 0; n < count * count; n++) {
            memcpy(note, (uint32_t[]){sizes[n / count], sizes[n % count]}, 2 * sizeof(uint32_t));
            inspect(damaged());
        }
        restore();
    }
}
END_TEST

/* ---- Any damage ---- */

START_TEST(elf_with_any_byte_of_its_tables_changed_is_safe)
{
    load();
    size_t tables = header()->e_phoff + (size_t)header()->e_phnum * header()->e_phentsize;
    for (size_t at = 0; at < tables; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            copy[at] = (char)(copy[at] ^ 1 << bit);
            inspect(damaged());
            copy[at] = module.data[at];
        }
        copy[at] = (char)0xff;
        inspect(damaged());
        copy[at] = 0;
        inspect(damaged());
        copy[at] = module.data[at];
    }
    for (unsigned round = 0; round < 3000; round++) {
        for (unsigned i = 0; i < 4; i++)
            copy[16 + random_below((uint32_t)tables - 16)] = (char)random_below(256);
        inspect(damaged());
        restore();
    }
}
END_TEST

UNIT_MAIN("elf", elf_module_of_the_build_is_good, elf_cut_short_anywhere_is_said_to_be,
          elf_that_is_something_else_is_refused, elf_of_another_machine_is_named,
          elf_tables_beyond_the_file_are_refused, elf_of_another_interface_is_told_both_numbers,
          elf_without_the_note_is_no_module, elf_notes_with_any_sizes_lead_nowhere,
          elf_with_any_byte_of_its_tables_changed_is_safe)
