/* Needs another major version of the interface. Its constructor must never run. */
#include <stdlib.h>

__asm__(".pushsection .note.pillion,\"a\",%note\n"
        ".balign 4\n"
        ".long 8, 8, 1\n"
        ".asciz \"Pillion\"\n"
        ".long 7, 0\n"
        ".popsection");

__attribute__((constructor)) static void construct(void)
{
    abort();
}
