/* An ELF file's memory image, made without running the file.
 *
 * Addresses are those that the file was linked for, as if it were loaded at 0. The pointers of
 * initialised structures, which a loader would fill in before any code runs, are written into a
 * private copy (elf(5), "Relocation entries"). Nothing is mapped, nothing is executed, and every
 * address is checked: the file may be damaged, or made to mislead. */
#ifndef PILLION_MODULE_ELF_IMAGE_H
#define PILLION_MODULE_ELF_IMAGE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

#define ELF_LOADS_MAX 32 /* linkers make two to six */

/* Stands for a pointer into another library. No address of an image is as high. */
#define ELF_ELSEWHERE ((uintptr_t)-1)

/* A segment as loaders see it: bytes of the file, and zeros after them up to `size`. */
struct elf_load {
    uint64_t address, size;
    uint64_t offset, file_size;
};

struct elf_image {
    char *file; /* private copy */
    size_t size;
    struct elf_load loads[ELF_LOADS_MAX];
    size_t load_count;
    uint64_t dynamic, dynamic_size;          /* offset in the file */
    uint64_t strings, symbols, symbol_count; /* addresses of the dynamic tables */
    uint64_t sections, section_count, section_size, section_names; /* in the file; an index */
};

/* Makes the image of `file`, which elf_describe has accepted. `file` is not needed afterwards.
 * False with the error; then there is nothing to close. */
bool elf_image_open(struct bytes file, struct elf_image *image, struct error *error);
void elf_image_close(struct elf_image *image);

/* Finds the address of an object that the file exports. */
bool elf_image_symbol(const struct elf_image *image, const char *name, uint64_t *address);

/* Copies `size` bytes at an address. False unless all of them belong to one segment. */
bool elf_image_read(const struct elf_image *image, uint64_t address, void *to, size_t size);

/* The string at an address, or NULL when none ends within its segment. Borrowed from the image. */
const char *elf_image_string(const struct elf_image *image, uint64_t address);

/* The name of the needed library number `index`, from 0; NULL after the last one, or when it cannot
 * be read. Borrowed from the image. */
const char *elf_image_needed(const struct elf_image *image, size_t index);

/* The folders, separated by colons, in which those libraries are looked for beside the system's, as
 * the file was linked, and by which entry: DT_RUNPATH, or DT_RPATH when there is no other, which
 * holds for libraries of the libraries, too. NULL: none. Borrowed from the image. */
const char *elf_image_search(const struct elf_image *image, int64_t *tag);

/* The contents of a section, even of one that is not loaded into memory, as ".comment". Data is
 * NULL when there is none. Borrowed from the image. */
struct bytes elf_image_section(const struct elf_image *image, const char *name);

#endif
