/* The state that a binary writes for the one that takes its place, a JSON document: how numbers,
 * words and files stand in it. Each owner of state writes and reads its own members.
 *
 * A member may be missing, because an older binary has written the document: then its reader takes
 * the value that is right for that binary. */
#ifndef PILLION_MASTER_STATE_H
#define PILLION_MASTER_STATE_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "base/place.h"

/* What the member `name` says; `missing` when there is none, or one of another kind. */
double state_number(const cJSON *object, const char *name, double missing);
const char *state_words(const cJSON *object, const char *name, const char *missing);
bool state_truth(const cJSON *object, const char *name);

/* A file's identity is written as text: an inode may be more than a number of JSON holds. Where it
 * is missing it is that of whatever is at `path`. */
void state_add_file(cJSON *object, const char *name, struct place_id file);
struct place_id state_file(const cJSON *object, const char *name, const char *path);

/* Whether the descriptor stays open over execve(2). -1 is skipped. */
void state_keep_open(int fd, bool keep);

#endif
