/* The bodies of requests to etcd, over JSON: pure functions. Each is a new text, which the caller
 * frees. See etcd_answer.h for the sources. */
#ifndef PILLION_REGISTRY_ETCD_TEXT_H
#define PILLION_REGISTRY_ETCD_TEXT_H

#include <stdint.h>

#include "base/bytes.h"

char *etcd_text_authenticate(const char *user, const char *password);
char *etcd_text_grant(uint32_t ttl_s);
/* Of a lease: to keep it alive, or to end it. */
char *etcd_text_lease(int64_t lease);
/* How long a lease goes on, and which keys are under it. */
char *etcd_text_lease_keys(int64_t lease);
char *etcd_text_put(const char *key, struct bytes value, int64_t lease);
/* Puts it unless the key is there with this value, and under this lease. */
char *etcd_text_put_unless(const char *key, struct bytes value, int64_t lease);
/* Deletes the key if it is there under this lease. */
char *etcd_text_delete(const char *key, int64_t lease);
/* At most `limit` rows that begin with the prefix, in the order of their keys, from `from` on; as
 * they were at `revision`, or 0. */
char *etcd_text_range(const char *prefix, struct bytes from, int64_t revision, uint32_t limit);
/* How many rows begin with the prefix: for the revision that comes with it. */
char *etcd_text_count(const char *prefix);
/* One key, without its value. */
char *etcd_text_one(struct bytes key);
char *etcd_text_watch(const char *prefix, int64_t from_revision);

#endif
