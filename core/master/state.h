/* The state that a binary writes for the one that takes its place: a JSON document in a memory
 * file, which an environment variable names. Each owner of state writes and reads its own members
 * (owners.h); here is how numbers, words and files stand in it, and how it is handed on.
 *
 * A member may be missing, because an older binary has written the document: then its reader takes
 * the value that is right for that binary. */
#ifndef PILLION_MASTER_STATE_H
#define PILLION_MASTER_STATE_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "base/error.h"
#include "base/place.h"

/* What the member `name` says; `missing` when there is none, or one of another kind. */
double state_number(const cJSON *object, const char *name, double missing);
const char *state_words(const cJSON *object, const char *name, const char *missing);
bool state_truth(const cJSON *object, const char *name);

/* A file's identity is written as text: an inode may be more than a number of JSON holds. Where it
 * is missing it is that of whatever is at `path`. */
void state_add_file(cJSON *object, const char *name, struct place_id file);
struct place_id state_file(const cJSON *object, const char *name, const char *path);

/* Adds the member, if it is missing. */
void state_default(cJSON *object, const char *name, const char *words);

/* Whether the descriptor stays open over execve(2). -1 is skipped. */
void state_keep_open(int fd, bool keep);

/* A document with no member but its version, which says what can be read. */
cJSON *state_new(void);

/* The document in a memory file, or -1 with the reason. */
int state_write(const cJSON *state, struct error *error);

/* What the file `fd` says (-1: the one that this process was started with), to be freed with
 * cJSON_Delete; NULL with the reason when it cannot be read or there is none. */
cJSON *state_read(int fd, struct error *error);

/* Names the file to the binary that this process executes next, which is to take over or only to
 * rehearse that; when it has not come to that, names none. */
void state_give(int fd, bool rehearsing);
void state_take_back(void);

/* True when this process was started so. */
bool state_is_given(int *fd, bool *rehearsing);

#endif
