/* Clients that speak another protocol, recognised by the first bytes of their connection. Read as a
 * length, text is always above FRAME_BODY_MAX, so the caller has an error to answer already; only
 * TLS can look like a frame that is still arriving. Listeners of one other protocol look here, too.
 *
 * Pure functions over bytes. */
#ifndef PILLION_WIRE_STRANGER_H
#define PILLION_WIRE_STRANGER_H

#include "wire/protocol.h"

#define STRANGER_REFUSAL_MAX 1024u

struct stranger {
    const char *speaks; /* "HTTP" */
    const char *form;   /* of a refusal that its client shows; NULL: it understands a reply */
    const char *hint;   /* added to the error that it gets in that reply */
};

/* The protocol that begins with `input`, whose first four bytes are too large a length; NULL when
 * it is not known. */
const struct stranger *stranger_find(struct bytes input, uint32_t max_body);

/* The same for a frame that is not whole: recognises only a client's hello of TLS. No request of
 * this protocol begins so, because a control character cannot be the second byte of a JSON text. */
const struct stranger *stranger_find_hello(struct bytes input);

/* One or the other, by the `status` that frame_next has returned for `input`. */
const struct stranger *stranger_of_frame(struct bytes input, uint32_t max_body,
                                         enum frame_status status);

/* The protocol of a connection that should begin with a line of JSON, and begins with `input`; NULL
 * when it does so, or too little of it is there to tell. `whole`: its first line is complete.
 *
 * The body of a request of HTTP is lines to whoever reads them so, and any web page can have a
 * browser send one: nothing behind a first line that is no message may be taken for one. */
const struct stranger *stranger_of_line(struct bytes input, bool whole);

/* The same where a head should come, as in HTTP and `lsp`: one begins with a letter. Its parser
 * would wait for the end of a line. */
const struct stranger *stranger_of_head(struct bytes input, unsigned protocol);

/* What a listener of the protocol speaks, in words, of which there are several: "frames of JSON".
 */
const char *stranger_spoken(unsigned protocol);

/* Writes the refusal for a stranger with a form, which says what this port speaks. Returns its
 * size. */
size_t stranger_refuse(const struct stranger *stranger, unsigned protocol,
                       char out[STRANGER_REFUSAL_MAX]);

#endif
