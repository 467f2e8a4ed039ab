/* Inspecting ELF files. See elf.h. */
#include "module/elf.h"

#include <elf.h>
#include <pillion/module.h>

#if __SIZEOF_POINTER__ == 8
typedef Elf64_Ehdr elf_header;
typedef Elf64_Phdr elf_segment;
typedef Elf64_Nhdr elf_note;
#define OUR_CLASS ELFCLASS64
#else
typedef Elf32_Ehdr elf_header;
typedef Elf32_Phdr elf_segment;
typedef Elf32_Nhdr elf_note;
#define OUR_CLASS ELFCLASS32
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OUR_DATA ELFDATA2LSB
#else
#define OUR_DATA ELFDATA2MSB
#endif

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#elif defined(__riscv)
#define OUR_MACHINE EM_RISCV
#elif defined(__powerpc64__)
#define OUR_MACHINE EM_PPC64
#elif defined(__s390x__)
#define OUR_MACHINE EM_S390
#elif defined(__i386__)
#define OUR_MACHINE EM_386
#elif defined(__arm__)
#define OUR_MACHINE EM_ARM
#else
#error "name this machine's EM_ constant here"
#endif

static const struct {
    unsigned number;
    const char *name;
} machines[] = {
    {EM_X86_64, "x86-64"}, {EM_AARCH64, "aarch64"}, {EM_RISCV, "RISC-V"}, {EM_PPC64, "ppc64"},
    {EM_S390, "s390x"},    {EM_386, "i386"},        {EM_ARM, "arm"},
};

/* Few machines have both byte orders, so the order is only named when it is not this machine's. */
static const char *other_order(const elf_header *header)
{
    if (header->e_ident[EI_DATA] == OUR_DATA)
        return "";
    return OUR_DATA == ELFDATA2LSB ? ", big-endian" : ", little-endian";
}

static const char *machine_name(unsigned number)
{
    for (size_t i = 0; i < sizeof(machines) / sizeof(*machines); i++) {
        if (machines[i].number == number)
            return machines[i].name;
    }
    return "another machine";
}

/* Copies `size` bytes at `offset`: the file's structures need not be aligned. */
static bool read_at(struct bytes file, uint64_t offset, void *to, size_t size)
{
    if (offset > file.size || size > file.size - offset)
        return false;
    memcpy(to, file.data + offset, size);
    return true;
}

static bool truncated(struct error *error)
{
    return error_set(error, "the file is cut short (was it still being copied?); copy it again");
}

static bool check_header(struct bytes file, elf_header *header, struct error *error)
{
    if (file.size < SELFMAG || memcmp(file.data, ELFMAG, SELFMAG) != 0)
        return error_set(error,
                         "not an ELF file; a module is a shared object, made with `cc -shared "
                         "-fPIC`");
    if (!read_at(file, 0, header, sizeof(*header)))
        return truncated(error);
    if (header->e_ident[EI_DATA] != OUR_DATA || header->e_machine != OUR_MACHINE ||
        header->e_ident[EI_CLASS] != OUR_CLASS)
        return error_set(error,
                         "built for %s, %s-bit%s; this server is %s, %d-bit; build it on or for "
                         "this machine",
                         machine_name(header->e_machine),
                         header->e_ident[EI_CLASS] == ELFCLASS64 ? "64" : "32", other_order(header),
                         machine_name(OUR_MACHINE), OUR_CLASS == ELFCLASS64 ? 64 : 32);
    if (header->e_type != ET_DYN)
        return error_set(error, "not a shared object (an object file or a program?); link it with "
                                "`cc -shared -fPIC`");
    return true;
}

static size_t aligned(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

/* Looks for Pillion's note among the notes of one segment. */
static bool find_note(struct bytes notes, struct elf_facts *facts)
{
    size_t at = 0;
    elf_note note;

    while (read_at(notes, at, &note, sizeof(note))) {
        uint64_t name = at + sizeof(note);
        uint64_t described = name + aligned(note.n_namesz);
        uint32_t version[2];
        if (note.n_namesz == sizeof("Pillion") && note.n_type == PILLION_NOTE_TYPE &&
            note.n_descsz >= sizeof(version) && name + sizeof("Pillion") <= notes.size &&
            memcmp(notes.data + name, "Pillion", sizeof("Pillion")) == 0 &&
            read_at(notes, described, version, sizeof(version))) {
            facts->abi_major = version[0];
            facts->abi_minor = version[1];
            return true;
        }
        uint64_t next = described + aligned(note.n_descsz);
        if (next > notes.size)
            return false;
        at = (size_t)next;
    }
    return false;
}

/* Checks that every segment lies within the file, and looks for the note in them. */
static bool check_segments(struct bytes file, const elf_header *header, struct elf_facts *facts,
                           bool *found, struct error *error)
{
    *found = false;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        elf_segment segment;
        uint64_t at = header->e_phoff + (uint64_t)i * header->e_phentsize;
        if (header->e_phentsize < sizeof(segment) || !read_at(file, at, &segment, sizeof(segment)))
            return truncated(error);
        if (segment.p_offset > file.size || segment.p_filesz > file.size - segment.p_offset)
            return truncated(error);
        struct bytes contents = {file.data + segment.p_offset, (size_t)segment.p_filesz};
        if (segment.p_type == PT_NOTE && !*found)
            *found = find_note(contents, facts);
    }
    return true;
}

/* Checks that the table of sections is there. Linkers write it at the end of the file, so it shows
 * whether the file was cut short. */
static bool check_sections(struct bytes file, const elf_header *header, struct error *error)
{
    uint64_t size = (uint64_t)header->e_shnum * header->e_shentsize;

    if (header->e_shoff > file.size || size > file.size - header->e_shoff)
        return truncated(error);
    return true;
}

bool elf_describe(struct bytes file, struct elf_facts *facts, struct error *error)
{
    elf_header header;
    bool found;

    if (file.size == 0)
        return error_set(error, "the file is empty (was it still being copied?); copy it again");
    if (!check_header(file, &header, error) ||
        !check_segments(file, &header, facts, &found, error) ||
        !check_sections(file, &header, error))
        return false;
    if (!found)
        return error_set(error, "a shared object, but no Pillion module: it has no "
                                "PILLION_MODULE(…), which one of its sources must have; "
                                "`pillion new NAME` writes one to begin with");
    return true;
}

bool elf_offered(const struct elf_facts *facts, struct error *error)
{
    if (facts->abi_major == PILLION_ABI_MAJOR && facts->abi_minor <= PILLION_ABI_MINOR)
        return true;
    return error_set(error,
                     "needs module API %u.%u, this server offers %u.%u; build it with this "
                     "server's <pillion/module.h>%s",
                     facts->abi_major, facts->abi_minor, PILLION_ABI_MAJOR, PILLION_ABI_MINOR,
                     facts->abi_major < PILLION_ABI_MAJOR ? "" : ", or use a newer server");
}

bool elf_inspect(struct bytes file, struct elf_facts *facts, struct error *error)
{
    return elf_describe(file, facts, error) && elf_offered(facts, error);
}
