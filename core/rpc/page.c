/* Making the page. See page.h. */
#include "rpc/page.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* In the place of a nonce, wherever the page's source has one. */
#define MARK "@NONCE.NONCE.NONCE.NONCE.NONCE.@"
static_assert(sizeof(MARK) - 1 == PAGE_NONCE_SIZE, "the page has the same size with either");

/* The build has put the parts together: see the Makefile. */
__asm__(".pushsection .rodata\n"
        ".globl page_start, page_end\n"
        "page_start: .incbin \"page.html\"\n"
        "page_end: .byte 0\n"
        ".popsection\n");
extern const char page_start[] __attribute__((visibility("hidden")));
extern const char page_end[] __attribute__((visibility("hidden")));

struct bytes page_make(struct pool *pool, struct bytes *nonce)
{
    const struct bytes nothing = {NULL, 0};
    size_t size = (size_t)(page_end - page_start);
    unsigned char random[PAGE_NONCE_SIZE / 2];
    char digits[PAGE_NONCE_SIZE + 1];
    char *page = pool_alloc(pool, size);

    if (page == NULL || getrandom(random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        return nothing;
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(digits + 2 * i, 3, "%02x", random[i]);
    memcpy(page, page_start, size);
    char *end = page + size;
    for (char *at = page; (at = memmem(at, (size_t)(end - at), MARK, PAGE_NONCE_SIZE)) != NULL;) {
        memcpy(at, digits, PAGE_NONCE_SIZE);
        *nonce = (struct bytes){at, PAGE_NONCE_SIZE};
    }
    return (struct bytes){page, size};
}
