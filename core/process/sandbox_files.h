/* Files, TCP and signals of a locked-down process: Landlock (landlock(7)).
 *
 * Landlock allows whole hierarchies: opening a file asks for a rule on it or on a folder above it.
 * What the process has open already is not concerned, nor are memory files. Which kernels can do
 * what is asked of the kernel: files from ABI 1 on, TCP from 4, signals and abstract Unix sockets
 * from 6. In any case no other process may be traced, nor its memory be opened in /proc. */
#ifndef PILLION_PROCESS_SANDBOX_FILES_H
#define PILLION_PROCESS_SANDBOX_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define LANDLOCK_ABI_FILES   1
#define LANDLOCK_ABI_TCP     4
#define LANDLOCK_ABI_SIGNALS 6

/* What may be done with a hierarchy. */
enum sandbox_access {
    ACCESS_READ = 1,
    ACCESS_WRITE = 2, /* files in it made, changed and removed */
    ACCESS_RUN = 4,
    ACCESS_ADD = 8, /* files made in it and written, as for core dumps */
};

/* What the process is not to have. */
enum sandbox_walls {
    WALL_FILES = 1,   /* only those that sandbox_files_allow names */
    WALL_CONNECT = 2, /* no connect(2) of TCP, but to ports of sandbox_files_connect */
    WALL_BIND = 16,   /* no bind(2) of TCP */
    WALL_ABSTRACT = 4,
    WALL_SIGNALS = 8,
};

/* The kernel's ABI; 0: it has no Landlock. */
int sandbox_files_abi(void);

/* Begins a set of rules, with those `walls` that the kernel knows. Returns its descriptor, or -1
 * with the reason. */
int sandbox_files_begin(unsigned walls, struct error *error);

/* Allows a hierarchy or file. Nothing happens when it is not there. */
void sandbox_files_allow(int rules, const char *path, unsigned access);

/* Allows connections by TCP to a port, of any host. */
void sandbox_files_connect(int rules, uint16_t port);

/* Puts the calling thread, and those that it makes, under the rules, for good, and closes them. */
bool sandbox_files_enter(int rules, struct error *error);

#endif
