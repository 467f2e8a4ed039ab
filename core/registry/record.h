/* A server's record in a registry: the value of the key PREFIX/ADDRESS, a JSON object.
 *
 *     {"address": "10.0.0.1:8080", "methods": [{"name": "pay", "params": {…}, …}],
 *      "generation": 7, "version": "1.0.0", "weight": 100, "started": "2026-01-31T12:34:56.789Z"}
 *
 * Others write records, too: what is read is foreign, and nothing of it is believed unchecked.
 * Members that nobody knows are passed over, so that later versions may add some. */
#ifndef PILLION_REGISTRY_RECORD_H
#define PILLION_REGISTRY_RECORD_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

#define RECORD_MAX         (512u << 10) /* bytes of a value */
#define RECORD_METHODS_MAX 1024u
#define RECORD_DEPTH_MAX   64u
#define RECORD_WEIGHT_MAX  1000u
#define RECORD_WEIGHT      100u /* of a record that has none */

/* What this server registers for one address. */
struct registry_offer {
    const char *address; /* canonical (net/address.h) */
    uint32_t weight;
    const char *methods; /* JSON, as rpc/offer.h has written it in a probe; "" : not known */
    uint64_t generation; /* that has changed the record last */
    const char *started; /* when the server was started, by RFC 3339 */
};

/* Appends the record. Methods that are no JSON are left out: a probe runs modules. */
void record_write(const struct registry_offer *offer, struct text *out);

struct record {
    char *address;
    uint32_t weight;
    cJSON *methods; /* an array, NULL: not known; checked by method_sets_take */
};

/* Reads a value whose key is `key`. False with the reason, which quotes nothing of the record; then
 * there is nothing to free. */
bool record_read(struct bytes key, struct bytes value, struct record *record, struct error *error);
void record_free(struct record *record);

#endif
