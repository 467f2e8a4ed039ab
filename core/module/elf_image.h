/* An ELF file's memory image without running it.
 *
 * Addresses are those that the file was linked for: as if it were loaded at 0. What a loader would
 * write into its data before any code runs, the pointers of initialised structures, is written into
 * a private copy (elf(5), "Relocation entries"). Nothing is mapped, nothing is executed, and every
 * address is checked: the file may be damaged, or made to mislead. */
#ifndef PILLION_MODULE_ELF_IMAGE_H
#define PILLION_MODULE_ELF_IMAGE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

#define ELF_LOADS_MAX 32 /* linkers make two to six */

/* A pointer to something of another library. No address of an image is as high. */
#define ELF_ELSEWHERE ((uintptr_t)-1)

/* A segment as loaders see it: bytes of the file, and zeros after them up to `size`. */
struct elf_load {
    uint64_t address, size;
    uint64_t offset, file_size;
};

struct elf_image {
    char *file; /* the private copy */
    size_t size;
    struct elf_load loads[ELF_LOADS_MAX];
    size_t load_count;
    uint64_t dynamic, dynamic_size;          /* in the file */
    uint64_t strings, symbols, symbol_count; /* addresses of the dynamic tables */
    uint64_t sections, section_count, section_size, section_names; /* in the file; an index */
};

/* Makes the image of `file`, which elf_describe has accepted; `file` is not needed any more. False
 * with what is wrong; then there is nothing to close. */
bool elf_image_open(struct bytes file, struct elf_image *image, struct error *error);
void elf_image_close(struct elf_image *image);

/* The address of an object that the file exports. */
bool elf_image_symbol(const struct elf_image *image, const char *name, uint64_t *address);

/* Copies `size` bytes. False unless all of them belong to one segment. */
bool elf_image_read(const struct elf_image *image, uint64_t address, void *to, size_t size);

/* The string at an address, or NULL when none ends within its segment. Borrowed from the image. */
const char *elf_image_string(const struct elf_image *image, uint64_t address);

/* The name of the library that is needed at place `index`, from 0; NULL after the last, and where
 * there is none to read. Borrowed. */
const char *elf_image_needed(const struct elf_image *image, size_t index);

/* Where those libraries are looked for besides: folders with colons between them, as they were
 * given when the file was linked (DT_RUNPATH, or DT_RPATH where that is all there is). NULL:
 * nowhere. Borrowed. */
const char *elf_image_search(const struct elf_image *image);

/* The contents of a section, which need not be a part of memory: ".comment". Data NULL when there
 * is none. Borrowed. */
struct bytes elf_image_section(const struct elf_image *image, const char *name);

#endif
