/* Prometheus's text format, for the files that write metrics (exposition.h). */
#ifndef PILLION_RPC_EXPOSITION_TEXT_H
#define PILLION_RPC_EXPOSITION_TEXT_H

#include "base/bytes.h"

static inline void family(struct text *out, const char *name, const char *type, const char *help)
{
    text_printf(out, "# HELP pillion_%s %s\n# TYPE pillion_%s %s\n", name, help, name, type);
}

/* A label's value: a name of the configuration, which may have any character. */
static inline void label(struct text *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\n')
            text_append_string(out, "\\n");
        else
            text_printf(out, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
    }
}

static inline void count(struct text *out, uint64_t value)
{
    text_printf(out, " %llu\n", (unsigned long long)value);
}

/* A family of one number. */
static inline void one(struct text *out, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    family(out, name, type, help);
    text_printf(out, "pillion_%s", name);
    count(out, value);
}

#endif
