/* Has the name of another module. */
#include <pillion/module.h>

PILLION_MODULE(.name = "ping", .version = "9.0.0");
