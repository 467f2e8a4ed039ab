/* Sealed copies of files, from which a generation is made.
 *
 * A file is copied once into a memory file that no process, not even root's, can change afterwards
 * (memfd_create(2), F_SEAL_WRITE). Every process of a generation reads the copy, so no two of them
 * ever see different bytes, and writing over the original is harmless. */
#ifndef PILLION_BASE_SEALED_H
#define PILLION_BASE_SEALED_H

#include "base/bytes.h"
#include "base/error.h"

/* Copies the regular file at `path` and seals the copy. Returns a close-on-exec descriptor that the
 * caller owns, or -1 with the reason. */
int sealed_copy(const char *path, struct error *error);

/* The same of bytes that are no file yet. `name` is for people who look at the process. */
int sealed_bytes(const char *name, struct bytes bytes, struct error *error);

/* A memory file that is filled and sealed later, by another process. As the others. */
int sealed_later(const char *name, struct error *error);

/* Fills and seals it. False with the reason; then it is no sealed file. */
bool sealed_fill(int fd, struct bytes bytes, struct error *error);

/* Whether it is sealed by now. */
bool sealed_is(int fd);

/* Maps a sealed file read-only. An empty file gives an empty span. False with the reason. */
bool sealed_map(int fd, struct bytes *contents, struct error *error);
void sealed_unmap(struct bytes contents);

#endif
