/* One request of HTTP to an upstream, and its response. */
#ifndef PROXY_HTTP_EXCHANGE_H
#define PROXY_HTTP_EXCHANGE_H

#include "answer.h"
#include "settings.h"
#include "trip.h"

struct exchanges;

/* Where an upstream is. */
struct location {
    const char *url;
    bool named; /* its host has to be looked up */
};

struct exchange_events {
    /* It is over, whether a client waits for it or not; how that speaks of the upstream. */
    void (*over)(struct upstream *upstream, const struct answer *answer);
    /* Answers the request, or sends it on. */
    void (*answered)(pillion_request *req, struct trip *trip, const struct answer *answer);
};

/* `kept`: how many connections are kept for later. NULL with the reason. */
struct exchanges *exchanges_open(pillion_instance *self, const struct settings *settings, long kept,
                                 const struct exchange_events *events, pillion_error_text *error);

/* Gives up all that are under way; nobody is told. */
void exchanges_close(struct exchanges *exchanges);

/* Defers the request of this trip and sends it to the upstream. False when it has not been sent,
 * and nobody will be told of it: then the request is answered. */
bool exchange_start(struct exchanges *exchanges, struct upstream *upstream,
                    const struct location *location, pillion_request *req, struct trip *trip);

#endif
