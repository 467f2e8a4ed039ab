/* Numbers by which a registry process tells how it stands: to the master, which puts them on the
 * board. */
#ifndef PILLION_RPC_REGISTRY_FIGURE_H
#define PILLION_RPC_REGISTRY_FIGURE_H

/* Append only: after an upgrade, processes of two versions talk to each other. */
enum registry_figure {
    REGISTRY_THERE,   /* 1: a member answers */
    REGISTRY_LOST_NS, /* since when none does, by clock_ns(); 0: one does */
    REGISTRY_KEYS,    /* addresses that are to be registered */
    REGISTRY_HELD,    /* that are */
    REGISTRY_REQUESTS,
    REGISTRY_FAILURES,
    REGISTRY_MOVES, /* from one member to another */
    REGISTRY_LEASES,
    REGISTRY_SNAPSHOTS,
    REGISTRY_EVENTS,
    REGISTRY_SENT, /* bytes */
    REGISTRY_RECEIVED,
    REGISTRY_BAD,   /* records that made no sense */
    REGISTRY_NAMES, /* services of DNS that are wanted; that DNS does not answer for now */
    REGISTRY_NAMES_AWAY,
    REGISTRY_QUESTIONS, /* to name servers; that none has answered */
    REGISTRY_QUESTIONS_FAILED,
    REGISTRY_FIGURES
};

#endif
