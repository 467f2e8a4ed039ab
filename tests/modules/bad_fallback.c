/* The default of one of its directives is none that the directive takes. */
#include <pillion/module.h>

struct config {
    uint64_t size;
};

static const pillion_directive directives[] = {
    {.name = "size",
     .type = PILLION_SIZE,
     .offset = offsetof(struct config, size),
     .fallback = "4 apples",
     .summary = "How much."},
    {0},
};

PILLION_MODULE(.name = "bad_fallback", .version = "1.0.0", .directives = directives,
               .config_size = sizeof(struct config));
