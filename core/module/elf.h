/* Inspecting a module's file without running any of it.
 *
 * Reads the file as bytes: nothing is mapped executable, and every offset is checked, because the
 * file may be cut short or be something else altogether (elf(5)). */
#ifndef PILLION_MODULE_ELF_H
#define PILLION_MODULE_ELF_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

struct elf_facts {
    uint32_t abi_major, abi_minor; /* from the module's note */
};

/* Checks that `file` is a whole shared object for this machine, with Pillion's note. False with an
 * error that says what is wrong and what to do. */
bool elf_describe(struct bytes file, struct elf_facts *facts, struct error *error);

/* Checks that this server offers the interface version that a module needs. False with an error
 * that says what to do. */
bool elf_offered(const struct elf_facts *facts, struct error *error);

/* elf_describe and elf_offered. */
bool elf_inspect(struct bytes file, struct elf_facts *facts, struct error *error);

#endif
