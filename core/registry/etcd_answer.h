/* What etcd's members answer over JSON, read strictly: pure functions over bytes.
 *
 * Sources: etcd's rpc.proto (RangeResponse, WatchResponse, …) as grpc-gateway writes it: 64-bit
 * numbers are strings, bytes are base64, members that are 0, false or empty are left out; streams
 * have each message in {"result":…}, or {"error":{…}} at their end. */
#ifndef PILLION_REGISTRY_ETCD_ANSWER_H
#define PILLION_REGISTRY_ETCD_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct cJSON;

/* What an answer means for its request. */
enum etcd_verdict {
    ETCD_FINE,
    ETCD_NO_LEASE,  /* the lease is lost, or never was */
    ETCD_COMPACTED, /* the revision is not there any more, or not yet */
    ETCD_NO_TOKEN,  /* the token is missing, has expired, or is of before a change of users */
    ETCD_NO_AUTH,   /* etcd asks nobody for a name */
    ETCD_ELSEWHERE, /* this member cannot: another one may */
    ETCD_REFUSED,   /* no member would */
    ETCD_TOO_LARGE, /* it has more bytes than are allowed; etcd_answer_read never says so */
};

struct etcd_change {
    bool gone;
    struct bytes key, value;
    int64_t revision; /* of its last change */
    int64_t created;  /* the revision in which it came; 0: of what is gone */
    int64_t lease;
};

struct etcd_answer {
    enum etcd_verdict verdict;
    char text[256]; /* of an error, as etcd says it */

    uint64_t cluster; /* of the header; 0: none */
    int64_t revision;
    struct etcd_change *changes; /* the rows of a range, the events of a watch */
    size_t change_count;
    int64_t count;      /* of a range: of all rows, also those that are not given */
    bool more;          /* there are rows behind the last */
    bool succeeded;     /* of a transaction */
    int64_t lease, ttl; /* of a lease; a TTL of 0 or less: it is lost */
    char *token;        /* NULL: none */
    struct bytes *keys; /* that are under the lease */
    size_t key_count;
    bool created, canceled, fragment; /* of a watch */
    int64_t compacted;

    struct cJSON *root; /* what all of that lies in */
};

/* Reads an answer's body, or one line of a stream, with the status of HTTP that came with it. What
 * is no answer of etcd is ETCD_ELSEWHERE, with a text. To be freed whatever it returns: true when
 * the verdict is ETCD_FINE. */
bool etcd_answer_read(struct etcd_answer *answer, struct bytes text, int status);
void etcd_answer_free(struct etcd_answer *answer);

#endif
