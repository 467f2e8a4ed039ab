/* A lease of etcd's, and the keys that are kept under it. The lease is granted when the first key
 * is to be held; from then on it is kept alive at a third of its time. One that is lost is followed
 * by a new one, and all keys are put again. From time to time etcd is asked which keys are under
 * it: one that somebody has deleted or taken is put again, too.
 *
 * A put without an answer may be done later, by a member that hung, when a newer value or no key
 * should be there. So values are compared for some time after that, and keys under the lease that
 * nobody holds are deleted. */
#ifndef PILLION_REGISTRY_ETCD_LEASE_H
#define PILLION_REGISTRY_ETCD_LEASE_H

#include "registry/etcd_link.h"

/* A key that is held. */
struct etcd_hold {
    struct etcd_hold *next;
    char *key;
    char *value;
    size_t value_size;
    uint64_t version;     /* of the value: raised with each */
    uint64_t put_version; /* that is being put, or there */
    uint64_t there_at;    /* since when it is there, on clock_ns(); 0: it is not */
    bool unanswered;      /* a put was sent, and no answer has come */
    bool check;           /* whether it has that value is to be asked */
    uint32_t doubts;      /* looks that are to come at which that is asked */
    bool tried;           /* it may be there since the last put, although nobody has said so */
    bool leaving;         /* it is to be deleted */
    bool deleting;        /* that is what is asked */
    bool dead;            /* to be freed */
    struct etcd_ask ask;
    struct etcd_lease *lease;
};

struct etcd_lease {
    struct etcd_link *link;
    uint32_t ttl_s;
    void (*leased)(void *context, int64_t lease);
    void (*held)(void *context, const char *key);
    void *context;

    int64_t id;       /* 0: none */
    bool sure;        /* etcd has said since that it is there */
    bool resumed;     /* it is a former process's, with its keys */
    uint64_t beat_ns; /* from one sign of life to the next */
    uint32_t beats;
    struct etcd_hold *holds;
    struct etcd_ask grant, alive, look, end;
    struct timer beat, deadline, tidy;
    void (*ended)(void *context, bool ended); /* of etcd_lease_end */
    void *ended_context;
    uint64_t granted;
};

/* The members up to `context` are set. */
void etcd_lease_open(struct etcd_lease *lease);
void etcd_lease_close(struct etcd_lease *lease);

void etcd_lease_resume(struct etcd_lease *lease, int64_t id);
void etcd_lease_hold(struct etcd_lease *lease, const char *key, struct bytes value);
void etcd_lease_unhold(struct etcd_lease *lease, const char *key);
void etcd_lease_end(struct etcd_lease *lease, uint32_t timeout_ms,
                    void (*ended)(void *context, bool ended), void *context);

/* Keys to be held, and those that are there or still to be deleted. */
void etcd_lease_count(const struct etcd_lease *lease, size_t *keys, size_t *held);

#endif
