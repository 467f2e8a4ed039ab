/* captive.c, and declares that it opens files. */
#define CAPTIVE_NEEDS PILLION_NEEDS_FILES
#include "captive.c"
