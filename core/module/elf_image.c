/* Images of ELF files. See elf_image.h. */
#include "module/elf_image.h"

#include <elf.h>
#include <link.h>
#include <stdlib.h>

#include "base/memory.h"

/* The relocations that make pointers in initialised data: to bytes of the file itself (RELATIVE),
 * and to symbols (ABSOLUTE). Other relocations concern code and run-time tables. */
#if defined(__x86_64__)
#define RELATIVE R_X86_64_RELATIVE
#define ABSOLUTE R_X86_64_64
#elif defined(__aarch64__)
#define RELATIVE R_AARCH64_RELATIVE
#define ABSOLUTE R_AARCH64_ABS64
#elif defined(__riscv)
#define RELATIVE R_RISCV_RELATIVE
#define ABSOLUTE (__SIZEOF_POINTER__ == 8 ? R_RISCV_64 : R_RISCV_32)
#elif defined(__powerpc64__)
#define RELATIVE R_PPC64_RELATIVE
#define ABSOLUTE R_PPC64_ADDR64
#elif defined(__s390x__)
#define RELATIVE R_390_RELATIVE
#define ABSOLUTE R_390_64
#elif defined(__i386__)
#define RELATIVE R_386_RELATIVE
#define ABSOLUTE R_386_32
#elif defined(__arm__)
#define RELATIVE R_ARM_RELATIVE
#define ABSOLUTE R_ARM_ABS32
#else
#error "name this machine's relocations here"
#endif

#if __SIZEOF_POINTER__ == 8
#define RELOCATION_TYPE(info)   ELF64_R_TYPE(info)
#define RELOCATION_SYMBOL(info) ELF64_R_SYM(info)
#define SYMBOL_BIND(info)       ELF64_ST_BIND(info)
#else
#define RELOCATION_TYPE(info)   ELF32_R_TYPE(info)
#define RELOCATION_SYMBOL(info) ELF32_R_SYM(info)
#define SYMBOL_BIND(info)       ELF32_ST_BIND(info)
#endif

static bool damaged(struct error *error, const char *what)
{
    return error_set(error, "its %s is damaged; build it again, or copy it again", what);
}

/* ---- Bytes ---- */

/* Copies `size` bytes at `offset` of the file. */
static bool file_read(const struct elf_image *image, uint64_t offset, void *to, size_t size)
{
    if (offset > image->size || size > image->size - offset)
        return false;
    memcpy(to, image->file + offset, size);
    return true;
}

static const struct elf_load *find_load(const struct elf_image *image, uint64_t address)
{
    for (size_t i = 0; i < image->load_count; i++) {
        const struct elf_load *load = &image->loads[i];
        if (address >= load->address && address - load->address < load->size)
            return load;
    }
    return NULL;
}

/* The file's bytes at an address, up to the end of their segment; data is NULL when there are
 * none. */
static struct bytes contents(const struct elf_image *image, uint64_t address)
{
    const struct elf_load *load = find_load(image, address);

    if (load == NULL || address - load->address >= load->file_size)
        return (struct bytes){0};
    uint64_t skipped = address - load->address;
    return (struct bytes){image->file + load->offset + skipped,
                          (size_t)(load->file_size - skipped)};
}

/* As elf_image_read, but only for bytes that are in the file, not for the zeros that follow them in
 * memory: the linker's tables are never there, and a damaged table might have no end. */
static bool table_read(const struct elf_image *image, uint64_t address, void *to, size_t size)
{
    struct bytes found = contents(image, address);

    if (found.size < size)
        return false;
    memcpy(to, found.data, size);
    return true;
}

bool elf_image_read(const struct elf_image *image, uint64_t address, void *to, size_t size)
{
    const struct elf_load *load = find_load(image, address);

    if (load == NULL || size > load->size - (address - load->address))
        return false;
    struct bytes found = contents(image, address);
    size_t held = found.size < size ? found.size : size;
    if (held > 0)
        memcpy(to, found.data, held);
    memset((char *)to + held, 0, size - held);
    return true;
}

const char *elf_image_string(const struct elf_image *image, uint64_t address)
{
    struct bytes found = contents(image, address);

    if (found.data == NULL)
        return find_load(image, address) == NULL ? NULL : "";
    return memchr(found.data, '\0', found.size) == NULL ? NULL : found.data;
}

/* ---- Segments and the dynamic section ---- */

static bool read_segments(struct elf_image *image, const ElfW(Ehdr) * header, struct error *error)
{
    for (unsigned i = 0; i < header->e_phnum; i++) {
        ElfW(Phdr) segment;
        uint64_t at = header->e_phoff + (uint64_t)i * header->e_phentsize;
        if (!file_read(image, at, &segment, sizeof(segment)) || segment.p_offset > image->size ||
            segment.p_filesz > image->size - segment.p_offset)
            return damaged(error, "table of segments");
        if (segment.p_type == PT_DYNAMIC) {
            image->dynamic = segment.p_offset;
            image->dynamic_size = segment.p_filesz;
        }
        if (segment.p_type != PT_LOAD)
            continue;
        if (image->load_count == ELF_LOADS_MAX || segment.p_filesz > segment.p_memsz)
            return damaged(error, "table of segments");
        image->loads[image->load_count++] = (struct elf_load){
            .address = segment.p_vaddr,
            .size = segment.p_memsz,
            .offset = segment.p_offset,
            .file_size = segment.p_filesz,
        };
    }
    return true;
}

/* Reads the entry at index `index`. False at the end. */
static bool read_dynamic(const struct elf_image *image, size_t index, ElfW(Dyn) * entry)
{
    return index < image->dynamic_size / sizeof(*entry) &&
           file_read(image, image->dynamic + index * sizeof(*entry), entry, sizeof(*entry)) &&
           entry->d_tag != DT_NULL;
}

/* The value of an entry, 0 when there is none. */
static uint64_t dynamic_value(const struct elf_image *image, ElfW(Sxword) tag)
{
    ElfW(Dyn) entry;

    for (size_t i = 0; read_dynamic(image, i, &entry); i++) {
        if (entry.d_tag == tag)
            return entry.d_un.d_val;
    }
    return 0;
}

const char *elf_image_needed(const struct elf_image *image, size_t index)
{
    ElfW(Dyn) entry;

    for (size_t i = 0; read_dynamic(image, i, &entry); i++) {
        if (entry.d_tag == DT_NEEDED && index-- == 0)
            return elf_image_string(image, image->strings + entry.d_un.d_val);
    }
    return NULL;
}

const char *elf_image_search(const struct elf_image *image, int64_t *tag)
{
    uint64_t at = dynamic_value(image, *tag = DT_RUNPATH);

    if (at == 0)
        at = dynamic_value(image, *tag = DT_RPATH);
    return at == 0 ? NULL : elf_image_string(image, image->strings + at);
}

/* ---- Symbols ---- */

/* No entry tells the number of symbols, but it follows from the hash tables: the old one has a
 * chain entry for each symbol (System V ABI, "Hash Table"), and the GNU one ends each chain with an
 * odd hash. */
static uint64_t count_symbols(const struct elf_image *image)
{
    uint64_t old = dynamic_value(image, DT_HASH), table = dynamic_value(image, DT_GNU_HASH);
    uint32_t head[4], last = 0, hash = 0; /* of the GNU table: buckets, first symbol, bloom words */

    if (old != 0)
        return table_read(image, old, head, 2 * sizeof(*head)) ? head[1] : 0;
    if (table == 0 || !table_read(image, table, head, sizeof(head)))
        return 0;
    uint64_t buckets = table + sizeof(head) + (uint64_t)head[2] * sizeof(ElfW(Addr));
    uint64_t chains = buckets + (uint64_t)head[0] * sizeof(uint32_t);
    for (uint64_t at = buckets; at < chains; at += sizeof(uint32_t)) {
        uint32_t first;
        if (!table_read(image, at, &first, sizeof(first)))
            return 0;
        last = first > last ? first : last;
    }
    if (last < head[1])
        return head[1];
    for (uint64_t symbol = last; (hash & 1) == 0; symbol++) {
        uint64_t at = chains + (symbol - head[1]) * sizeof(uint32_t);
        if (!table_read(image, at, &hash, sizeof(hash)))
            return 0;
        last = (uint32_t)symbol;
    }
    return (uint64_t)last + 1;
}

static bool read_symbol(const struct elf_image *image, uint64_t index, ElfW(Sym) * symbol)
{
    return index < image->symbol_count &&
           table_read(image, image->symbols + index * sizeof(*symbol), symbol, sizeof(*symbol));
}

bool elf_image_symbol(const struct elf_image *image, const char *name, uint64_t *address)
{
    ElfW(Sym) symbol;

    for (uint64_t i = 1; read_symbol(image, i, &symbol); i++) {
        const char *found = elf_image_string(image, image->strings + symbol.st_name);
        if (symbol.st_shndx == SHN_UNDEF || found == NULL || strcmp(found, name) != 0)
            continue;
        *address = symbol.st_value;
        return true;
    }
    return false;
}

/* ---- Relocation ---- */

/* The address of a symbol: ELF_ELSEWHERE if another library defines it, 0 if it is weak and
 * undefined here. False when the symbol is damaged. */
static bool symbol_value(const struct elf_image *image, uint64_t index, uintptr_t *value)
{
    ElfW(Sym) symbol;

    *value = 0;
    if (index == STN_UNDEF)
        return true;
    if (!read_symbol(image, index, &symbol))
        return false;
    if (symbol.st_shndx != SHN_UNDEF)
        *value = symbol.st_value;
    else if (SYMBOL_BIND(symbol.st_info) != STB_WEAK)
        *value = ELF_ELSEWHERE;
    return true;
}

/* Applies one relocation, which writes a pointer. In tables without addends, the addend is at the
 * pointer's place. */
static bool relocate(struct elf_image *image, const ElfW(Rela) * entry, bool has_addend)
{
    uintptr_t value = 0, addend = (uintptr_t)entry->r_addend;
    unsigned type = (unsigned)RELOCATION_TYPE(entry->r_info);

    if (type != RELATIVE && type != ABSOLUTE)
        return true;
    struct bytes pointer = contents(image, entry->r_offset);
    if (pointer.size < sizeof(value))
        return false;
    if (type == ABSOLUTE && !symbol_value(image, RELOCATION_SYMBOL(entry->r_info), &value))
        return false;
    if (!has_addend)
        memcpy(&addend, pointer.data, sizeof(addend));
    value = value == ELF_ELSEWHERE ? value : value + addend;
    memcpy(image->file + (pointer.data - image->file), &value, sizeof(value));
    return true;
}

static bool relocate_table(struct elf_image *image, uint64_t table, uint64_t size, bool has_addend)
{
    size_t stride = has_addend ? sizeof(ElfW(Rela)) : sizeof(ElfW(Rel));

    for (uint64_t at = 0; size - at >= stride; at += stride) {
        ElfW(Rela) entry = {0};
        if (!table_read(image, table + at, &entry, stride) || !relocate(image, &entry, has_addend))
            return false;
    }
    return true;
}

/* DT_RELR, the packed table of relative relocations, needs no work here: it adds the address at
 * which the file is loaded, which is 0. */
static bool relocate_all(struct elf_image *image, struct error *error)
{
    if (relocate_table(image, dynamic_value(image, DT_RELA), dynamic_value(image, DT_RELASZ),
                       true) &&
        relocate_table(image, dynamic_value(image, DT_REL), dynamic_value(image, DT_RELSZ), false))
        return true;
    return damaged(error, "table of relocations");
}

/* ---- Sections ---- */

static bool read_section(const struct elf_image *image, uint64_t index, ElfW(Shdr) * section)
{
    return index < image->section_count && image->section_size >= sizeof(*section) &&
           file_read(image, image->sections + index * image->section_size, section,
                     sizeof(*section)) &&
           section->sh_offset <= image->size &&
           section->sh_size <= image->size - section->sh_offset;
}

struct bytes elf_image_section(const struct elf_image *image, const char *name)
{
    ElfW(Shdr) names, section;

    if (!read_section(image, image->section_names, &names))
        return (struct bytes){0};
    size_t size = strlen(name) + 1;
    for (uint64_t i = 0; i < image->section_count; i++) {
        if (!read_section(image, i, &section) || section.sh_type == SHT_NOBITS ||
            section.sh_name > names.sh_size || size > names.sh_size - section.sh_name ||
            memcmp(image->file + names.sh_offset + section.sh_name, name, size) != 0)
            continue;
        return (struct bytes){image->file + section.sh_offset, (size_t)section.sh_size};
    }
    return (struct bytes){0};
}

/* ---- Opening ---- */

static bool read_image(struct elf_image *image, struct error *error)
{
    ElfW(Ehdr) header;

    if (!file_read(image, 0, &header, sizeof(header)))
        return damaged(error, "header");
    if (!read_segments(image, &header, error))
        return false;
    image->sections = header.e_shoff;
    image->section_count = header.e_shnum;
    image->section_size = header.e_shentsize;
    image->section_names = header.e_shstrndx;
    image->strings = dynamic_value(image, DT_STRTAB);
    image->symbols = dynamic_value(image, DT_SYMTAB);
    image->symbol_count = count_symbols(image);
    return relocate_all(image, error);
}

bool elf_image_open(struct bytes file, struct elf_image *image, struct error *error)
{
    *image = (struct elf_image){.file = must_alloc(file.size), .size = file.size};
    memcpy(image->file, file.data, file.size);
    if (read_image(image, error))
        return true;
    elf_image_close(image);
    return false;
}

void elf_image_close(struct elf_image *image)
{
    free(image->file);
    *image = (struct elf_image){0};
}
