/* The vaults' seats. See vault_seats.h. */
#include "master/vault_seats.h"

struct vault_seat vault_seats[VAULT_PROCESSES_MAX];
uint32_t vault_seats_used;
