/* Replies as tests of modules read them (test_api.c). */
#ifndef PILLION_MODULE_TEST_REPLY_H
#define PILLION_MODULE_TEST_REPLY_H

#include <pillion/test.h>
#include <stddef.h>

#include "base/memory.h"

/* Reads a reply of `size` bytes, its frame's header included, which is NUL-terminated and stays
 * where it is. Other texts lie in `texts`. 0 bytes: the answer to a notification. */
pillion_test_reply test_reply_read(const char *frame, size_t size, struct pool *texts);

/* Replies to mistakes of the test's own. */
extern const pillion_test_reply test_reply_not_started, test_reply_not_begun;

#endif
