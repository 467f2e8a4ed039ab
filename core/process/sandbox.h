/* Locking a process down before it runs a module's code: no new privileges (process/privilege.h),
 * the files and sockets that it may use (sandbox_files.h), the system calls that it may make
 * (sandbox_filter.h). Nothing of this can be undone. */
#ifndef PILLION_PROCESS_SANDBOX_H
#define PILLION_PROCESS_SANDBOX_H

#include "process/generation.h"

/* Locks a worker or a probe down as its generation says. A call that is refused with SIGSYS is told
 * the master on `channel` first. `tells`: it logs what holds. False with the reason, where that has
 * to keep the process from starting. */
bool sandbox_enter(const struct generation *generation, int channel, bool tells,
                   struct error *error);

/* The same for a process that opens nothing and runs no module: a vault. Does what the kernel can
 * do, and says nothing. */
void sandbox_enter_bare(void);

/* The same for a process that reads clients' bytes besides, and connects with itself by TCP, to
 * `port`: a gate. */
void sandbox_enter_gate(uint16_t port);

/* The same for a process that speaks to the network, looks names up, and runs no module: the
 * registry process. It connects by TCP to the `count` ports alone, and to that of name servers. */
void sandbox_enter_network(const uint16_t *ports, size_t count);

/* A MESSAGE_SANDBOXED, in words: "it called execve(2), which the sandbox refuses: …". */
void sandbox_describe(uint64_t number, uint64_t architecture, char *text, size_t size);

#endif
