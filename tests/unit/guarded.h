/* Text that ends where memory ends: one byte read past it is a fault, with or without sanitizers.
 */
#ifndef PILLION_TESTS_GUARDED_H
#define PILLION_TESTS_GUARDED_H

#include <check.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"

#define GUARDED_MAX ((size_t)1 << 20)

/* A copy of `text`, at most GUARDED_MAX bytes, right before a page that cannot be read. Valid until
 * the next call. */
static inline struct bytes guarded(struct bytes text)
{
    static char *end;

    if (end == NULL) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        char *map = mmap(NULL, GUARDED_MAX + page, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(map, MAP_FAILED);
        end = map + GUARDED_MAX;
        ck_assert_int_eq(mprotect(end, page, PROT_NONE), 0);
    }
    ck_assert_uint_le(text.size, GUARDED_MAX);
    if (text.size > 0)
        memcpy(end - text.size, text.data, text.size);
    return (struct bytes){end - text.size, text.size};
}

#endif
