/* TLS with PostgreSQL, as libpq speaks it: directives that are params of its connections. */
#ifndef POSTGRES_SECURE_H
#define POSTGRES_SECURE_H

#include "settings.h"

#define PARAMS_MAX 10

/* Params of a connection, of which later ones stand before earlier ones. */
struct params {
    const char *names[PARAMS_MAX + 1], *values[PARAMS_MAX + 1];
    size_t count;
};

/* Adds a param, unless its value is NULL. */
void param_add(struct params *params, const char *name, const char *value);

/* Checks the directives and the connection string. Returns 0, or as pillion_error. */
int secure_check(const struct settings *settings, pillion_error_text *error);

/* Adds what the directives say; nothing without `ssl on`. */
void secure_add(const struct settings *settings, struct params *params);

#endif
