/* Who may write a file: its owner, its group and others, by its own rights, and by those of every
 * directory on the way to it, symbolic links followed.
 *
 * Root trusts a file only when nobody else may write it, as sshd and sudo do. There is one
 * exception: a user who may replace the program that root runs could do anything already. So all
 * who may write the program are trusted with other files, too; a server that was built in the
 * directory of another user runs there. Where a file system is mounted read-only, nobody writes. */
#ifndef PILLION_BASE_WRITERS_H
#define PILLION_BASE_WRITERS_H

#include <stdbool.h>

#include "base/error.h"

/* Trusts all who may write the program at the absolute `path`, or put another in its place. */
void writers_trust(const char *path);

/* Trusts a user, and a group. */
void writers_trust_user(unsigned user);
void writers_trust_group(unsigned group);

/* True when only root and those who are trusted may write the file at the absolute `path`, or put
 * another in its place; also when there is no such file. Otherwise `error` names the file or
 * directory, its rights and its owner, and says what to do. */
bool writers_check(const char *path, struct error *error);

#endif
