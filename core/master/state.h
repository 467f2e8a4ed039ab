/* The state that a binary writes for the one that takes its place: a JSON document in a memory
 * file, which an environment variable names. Each owner of state writes and reads its own members
 * (owners.h). This file has the members' types, and hands the document on.
 *
 * A member may be missing, because an older binary wrote the document: then its reader takes the
 * value that is right for that binary. */
#ifndef PILLION_MASTER_STATE_H
#define PILLION_MASTER_STATE_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "base/error.h"
#include "base/own_file.h"

/* The value of the member `name`; `missing` when there is none, or one of another type. */
double state_number(const cJSON *object, const char *name, double missing);
const char *state_words(const cJSON *object, const char *name, const char *missing);
bool state_truth(const cJSON *object, const char *name);

/* A file's identity is written as text: an inode may be more than a number of JSON holds. Where the
 * member is missing, it is the identity of the file that is at `path` now. */
void state_add_file(cJSON *object, const char *name, struct file_id file);
struct file_id state_file(const cJSON *object, const char *name, const char *path);

/* Adds the member `name` with the text `words`, if it is missing. */
void state_default(cJSON *object, const char *name, const char *words);

/* Sets whether the descriptor stays open over execve(2). -1 is skipped. */
void state_keep_open(int fd, bool keep);

/* A document with its version, by which a reader knows whether it can read it, and no other
 * member. */
cJSON *state_new(void);

/* The document in a memory file, or -1 with the reason. */
int state_write(const cJSON *state, struct error *error);

/* Reads the document in the file `fd` (-1: the one that this process was started with). Free it
 * with cJSON_Delete. NULL with the reason when there is none or it cannot be read. */
cJSON *state_read(int fd, struct error *error);

/* state_give names the file, in the environment, to the binary that this process executes next,
 * which is to take over or only to rehearse. It fails when the environment cannot be set, or when a
 * state_keep_open has failed before: then the binary must not be executed. state_take_back undoes
 * it when the execution has failed. */
bool state_give(int fd, bool rehearsing, struct error *error);
void state_take_back(void);

/* True when this process was started with such a file. */
bool state_is_given(int *fd, bool *rehearsing);

#endif
