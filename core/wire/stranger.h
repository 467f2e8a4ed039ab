/* Clients that speak something else than this protocol, told by the first bytes of their
 * connection. Read as a length, text is always above FRAME_BODY_MAX, so whoever looks here has an
 * error to answer already; only TLS can look like a frame that is on its way.
 *
 * Pure functions over bytes. */
#ifndef PILLION_WIRE_STRANGER_H
#define PILLION_WIRE_STRANGER_H

#include "wire/frame.h"

#define STRANGER_REFUSAL_MAX 1024u

struct stranger {
    const char *speaks; /* "HTTP" */
    const char *form;   /* of the refusal, as its client shows it; NULL: it understands a reply */
    const char *hint;   /* added to the error that it gets then */
};

/* What begins with `input`, of which the first four bytes announce too much; NULL when that says
 * nothing. */
const struct stranger *stranger_find(struct bytes input, uint32_t max_body);

/* The same for a frame that is not whole: a client's hello of TLS, or NULL. No request of this
 * protocol begins so, because a control character cannot be the second byte of a JSON text. */
const struct stranger *stranger_find_hello(struct bytes input);

/* Either, by what frame_next has said of `input`. */
const struct stranger *stranger_of_frame(struct bytes input, uint32_t max_body,
                                         enum frame_status status);

/* Writes the refusal of a stranger with a form: it says what is spoken here. Its size. */
size_t stranger_refuse(const struct stranger *stranger, char out[STRANGER_REFUSAL_MAX]);

#endif
