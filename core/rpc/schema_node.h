/* What a schema's text says, as a value is checked by it: schema.h makes it, schema_check.h walks
 * it. */
#ifndef PILLION_RPC_SCHEMA_NODE_H
#define PILLION_RPC_SCHEMA_NODE_H

#include <stdbool.h>

#include "base/memory.h"
#include "rpc/schema_pattern.h"

#define SCHEMA_SIZE_MAX   (256u << 10) /* bytes of its text */
#define SCHEMA_DEPTH_MAX  64u          /* schemas in schemas, as they are written */
#define SCHEMA_HEIGHT_MAX 32u          /* schemas that one value has to pass, by $ref, allOf, … */
#define SCHEMA_WORK_MAX   1000000u     /* characters of all its patterns, repetitions written out */
#define SCHEMA_NAMES_MAX  1024u        /* names of members that an object's keywords mention */

/* Kinds of values. A number is of KIND_NUMBER; a schema that takes whole ones only has KIND_WHOLE
 * in its place. */
enum {
    KIND_NULL = 1,
    KIND_FLAG = 2,
    KIND_OBJECT = 4,
    KIND_ARRAY = 8,
    KIND_STRING = 16,
    KIND_NUMBER = 32,
    KIND_WHOLE = 64,
    KIND_ANY = 63,
};

struct schema_node;

struct schema_list {
    struct schema_node **of;
    size_t count;
};

/* A name that an object's keywords mention. */
struct schema_name {
    struct bytes name;         /* without quotes and escapes */
    struct schema_node *value; /* NULL: not among the properties */
    bool required;
    bool asks;                 /* some of what follows is there */
    struct schema_node *whole; /* dependentSchemas: for the object, where the member is there */
    const size_t *beside;      /* dependentRequired: names that have to be there then */
    size_t beside_count;
};

struct schema_matching {
    const struct pattern *pattern;
    struct schema_node *value;
};

struct schema_object {
    struct schema_name *names; /* the properties come first, in their order */
    size_t name_count;
    const struct schema_name **sorted; /* by size and bytes */
    bool asks;                         /* some are required, or ask for others */
    struct schema_matching *matching;
    size_t matching_count;
    struct schema_node *others;   /* members that are none of these; NULL: anything */
    struct schema_node *of_names; /* NULL: any */
    uint64_t least, most;
};

struct schema_array {
    struct schema_list first; /* prefixItems */
    struct schema_node *items;
    struct schema_node *contains;
    uint64_t contains_least, contains_most;
    uint64_t least, most;
    bool unique;
};

struct schema_string {
    uint64_t least, most; /* characters */
    const struct pattern *pattern;
    struct bytes written; /* the pattern, as it stands in the schema */
};

/* Numbers as they are written; data NULL: there is none. */
struct schema_number {
    struct bytes least, most, above, below, multiple;
};

struct schema_node {
    uint8_t kinds;
    bool nothing;    /* no value is right */
    uint8_t height;  /* 1, or 1 more than the highest of those that the same value has to pass */
    bool has_values; /* it has to be one of `values`, JSON that is written in the schema */
    const struct bytes *values;
    size_t value_count;
    struct bytes constant;     /* data NULL: there is none */
    struct schema_list all;    /* $ref, allOf */
    struct schema_list any;    /* of none: does not matter */
    struct schema_list one;    /* likewise */
    struct schema_node * not ; /* each NULL when it is not there, as those below */
    struct schema_node *when, *then, *otherwise;
    struct schema_object *object;
    struct schema_array *array;
    struct schema_string *string;
    struct schema_number *number;
};

struct schema {
    struct pool pool; /* has all of it */
    struct bytes text;
    struct schema_node *root;
};

/* The kind of the value at `p`. */
static inline unsigned schema_kind(const char *p)
{
    switch (*p) {
    case '{':
        return KIND_OBJECT;
    case '[':
        return KIND_ARRAY;
    case '"':
        return KIND_STRING;
    case 't':
    case 'f':
        return KIND_FLAG;
    case 'n':
        return KIND_NULL;
    default:
        return KIND_NUMBER;
    }
}

#endif
