/* Which clients get a handshake, before it costs anything: by their address (`allow`, `deny`), by
 * how many of an address there are (`limit_conn`) or do their handshakes (`ssl_handshakes`); and,
 * where PROXY headers are expected, which balancers may connect. Gate only. */
#ifndef PILLION_GATE_GATE_ADMIT_H
#define PILLION_GATE_GATE_ADMIT_H

#include "gate/gate_ports.h"
#include "net/crowd.h"

struct gate_admission {
    counter *counters;    /* enum tls_counter; of this gate's row of the board */
    struct crowd shaking; /* handshakes that are under way, in all gates */
    struct crowd served;  /* connections, in all workers */
    uint32_t share;       /* of the gate's clients, that may be handshakes of one address */
};

/* Whether the peer that has connected may send a PROXY header. */
bool gate_admits_balancer(const struct gate_admission *admission, const struct gate_port *port,
                          const struct sockaddr *peer);

/* Whether the client may begin its handshake. `key` is to be given back to gate_shaken once the
 * handshake is over; 0: there is nothing to give back. Those that may not are counted, and the log
 * tells it. */
bool gate_admits(struct gate_admission *admission, const struct gate_port *port,
                 const struct sockaddr *client, socklen_t size, uint64_t now_ns, uint64_t *key);

void gate_shaken(struct gate_admission *admission, uint64_t *key);

#endif
