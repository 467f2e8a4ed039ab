/* The page of a server that can be watched: bytes that the build has made of core/rpc/page/. It is
 * the same for all servers and has nothing of any: what it shows it asks for. */
#ifndef PILLION_RPC_PAGE_H
#define PILLION_RPC_PAGE_H

#include "base/bytes.h"
#include "base/memory.h"

#define PAGE_NONCE_SIZE 32u /* of hexadecimal digits: 128 bits */

/* The page in the pool's memory, with a nonce of its own, by which alone browsers run its script:
 * `nonce` borrows it from the page. Data NULL when there is no memory, or no random number. */
struct bytes page_make(struct pool *pool, struct bytes *nonce);

#endif
