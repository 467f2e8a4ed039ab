/* Names of needs. See needs.h. */
#include "conf/needs.h"

#include <pillion/module.h>
#include <string.h>

const struct need need_table[] = {
    {"network", "PILLION_NEEDS_NETWORK", PILLION_NEEDS_NETWORK},
    {"files", "PILLION_NEEDS_FILES", PILLION_NEEDS_FILES},
    {"processes", "PILLION_NEEDS_PROCESSES", PILLION_NEEDS_PROCESSES},
    {NULL, NULL, 0},
};
_Static_assert(NEEDS_DECLARABLE ==
                   (PILLION_NEEDS_NETWORK | PILLION_NEEDS_FILES | PILLION_NEEDS_PROCESSES),
               "all that a module may declare");

static uint32_t bit_of(const char *name, size_t size)
{
    for (const struct need *n = need_table; n->name != NULL; n++) {
        if (strlen(n->name) == size && memcmp(n->name, name, size) == 0)
            return n->bit;
    }
    return 0;
}

bool needs_read(const char *text, uint32_t *needs)
{
    *needs = 0;
    if (strcmp(text, "none") == 0)
        return true;
    for (;;) {
        size_t size = strcspn(text, ",");
        uint32_t bit = bit_of(text, size);
        if (bit == 0)
            return false;
        *needs |= bit;
        if (text[size] == '\0')
            return true;
        text += size + 1;
    }
}

void needs_write(uint32_t needs, const char *between, struct text *out)
{
    const char *before = "";

    for (const struct need *n = need_table; n->name != NULL; n++) {
        if ((needs & n->bit) == 0)
            continue;
        text_printf(out, "%s%s", before, n->name);
        before = between;
    }
    if ((needs & NEEDS_DECLARABLE) == 0)
        text_append_string(out, "none");
}
