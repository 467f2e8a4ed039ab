/* The services of a trial (test_api.c): what a registry would tell a server. */
#ifndef PILLION_MODULE_TEST_SERVICES_H
#define PILLION_MODULE_TEST_SERVICES_H

#include "net/directory.h"

/* The directory that has them; NULL without memory for one. */
const struct directory *test_services(void);

/* The modules have stopped: nobody knows any service. */
void test_services_end(void);

#endif
