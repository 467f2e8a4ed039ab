/* captive.c with a constructor that starts a program. */
#define CAPTIVE_EARLY
#include "captive.c"
