/* The keywords for objects. Each returns false with the author's mistake. */
#ifndef PILLION_RPC_SCHEMA_OBJECT_H
#define PILLION_RPC_SCHEMA_OBJECT_H

#include "rpc/schema_word.h"

bool schema_read_properties(const struct word *word);
bool schema_read_pattern_properties(const struct word *word);
bool schema_read_additional(const struct word *word);
bool schema_read_names(const struct word *word);
bool schema_read_required(const struct word *word);
bool schema_read_dependent_required(const struct word *word);
bool schema_read_dependent_schemas(const struct word *word);
bool schema_read_min_properties(const struct word *word);
bool schema_read_max_properties(const struct word *word);

/* Sorts the names that the node's keywords have mentioned, once all are read. */
void schema_sort_names(const struct word *word);

#endif
