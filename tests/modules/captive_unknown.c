/* captive.c, and needs what no server knows. */
#define CAPTIVE_NEEDS 0x40
#include "captive.c"
