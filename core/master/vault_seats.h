/* The table of the vaults' seats, for the two files that keep it: vaults.c, whose the processes
 * are, and vault_channels.c. Master only. */
#ifndef PILLION_MASTER_VAULT_SEATS_H
#define PILLION_MASTER_VAULT_SEATS_H

#include "conf/settings.h"
#include "event/loop.h"
#include "master/pulse.h"
#include "process/children.h"
#include "process/outbox.h"

struct vault_seat {
    struct child child; /* its pid is 0 when no process is in the seat */
    struct outbox out;
    struct timer respawn;
    struct timer reach; /* vault_channels.c's */
    uint32_t quick_deaths;
    uint64_t started_ns; /* names the process in MESSAGE_VAULT */
    uint32_t held;       /* sockets, by the vault's own count */
    uint64_t refused;
    struct pulse pulse;
    bool surplus; /* the vault was told to end when it is empty */
};

extern struct vault_seat vault_seats[VAULT_PROCESSES_MAX];
extern uint32_t vault_seats_used; /* seats from this number on never had a vault */

static inline uint32_t seat_number(const struct vault_seat *seat)
{
    return (uint32_t)(seat - vault_seats);
}

#endif
