/* What the modules of a trial (test_api.c) have counted. */
#ifndef PILLION_MODULE_TEST_METRICS_H
#define PILLION_MODULE_TEST_METRICS_H

#include "rpc/board.h"

/* The board where they count; NULL: no modules run. */
void test_metrics_of(const struct board *trials);

#endif
