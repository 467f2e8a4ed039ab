/* Descriptors that came from a less trusted process, or after a module's mistake. Such a process
 * may have set options on the socket behind a descriptor, or may send descriptors only to use up
 * the receiver's: the functions here close descriptors without waiting, and refuse them. */
#ifndef PILLION_BASE_DESCRIPTOR_H
#define PILLION_BASE_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>

/* True where /proc/self/fd has the descriptors' names, as everywhere but without /proc. */
bool descriptors_have_names(void);

/* Closes a descriptor, and does not wait: close(2) of a socket with SO_LINGER set (socket(7)) lasts
 * until the peer has taken all data, and the process that made the socket may have set that. */
void descriptor_close(int fd);

/* Closes `count` of them. */
void descriptors_close(const int *fds, size_t count);

/* Makes a Unix socket refuse descriptors: its peer's attempt to send one fails with EPERM
 * (SO_PASSRIGHTS, since Linux 6.16). On older kernels nothing changes. */
void descriptors_refuse(int fd);

/* Lets /dev/null take the place of those of the descriptors 0 to 2 that a module has closed. */
void descriptors_fill(void);

/* Moves a descriptor that has just been made, when it is one of 0 to 2: what somebody prints would
 * go there. Also calls descriptors_fill then. Returns the descriptor, or -1 with errno, and then it
 * is closed: there is no other number left (EMFILE). */
int descriptor_apart(int fd);

#endif
