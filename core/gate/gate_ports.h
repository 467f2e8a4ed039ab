/* The addresses of a generation at which TLS is spoken, as a gate sees them. Gate only. */
#ifndef PILLION_GATE_GATE_PORTS_H
#define PILLION_GATE_GATE_PORTS_H

#include "event/loop.h"
#include "process/generation.h"
#include "tls/tls.h"

/* A listening socket. */
struct gate_port {
    struct watch watch;
    const struct generation_listener *heard;
    struct tls_context *context; /* its address's */
};

struct gate_ports {
    const struct tls_table *tls;
    struct gate_port *items;
    uint32_t count;
};

/* Loads the library and, for each address, its certificates and keys. False with the reason, which
 * names the file. */
bool gate_ports_load(struct gate_ports *ports, const struct generation *generation,
                     struct error *error);

/* Logs which certificates have expired, or will soon. */
void gate_ports_warn(const struct gate_ports *ports);

/* Loads what a configuration needs that does not serve yet, and logs which certificates expire;
 * nothing is kept. `expires` is when the first of them does. */
bool gate_ports_try(const struct hearing *hearing, int64_t *expires, struct error *error);

#endif
