/* The version of the server. The module interface has its own, in <pillion/module.h>. */
#ifndef PILLION_BASE_VERSION_H
#define PILLION_BASE_VERSION_H

#define PILLION_VERSION "0.1.0"

#endif
