/* Results that a handler writes as it goes: objects, arrays and values one after the other, into
 * text that grows, without a tree. What pillion_begin_object, pillion_put_string and the others do;
 * <pillion/module.h> documents them.
 *
 * The text lies in the request's memory while it is brief. From then on it lies where the reply
 * will be sent from, where the request has room there that grows, so that a long reply is in memory
 * once; and in the heap otherwise. It never has more bytes than a reply may have. A mistake of the
 * module's, such as a member without a name, is kept until the result's end, and is the reply then.
 */
#ifndef PILLION_RPC_RESULT_H
#define PILLION_RPC_RESULT_H

#include "rpc/request.h"

/* Begins an object or an array: the result of a reply whose `out` is `name`, or a part of what is
 * being written, as the member `name`. */
void result_begin(struct pillion_request *req, const char *name, bool array);

/* Ends what was begun last. Replies when that is the result. */
void result_end(struct pillion_request *req);

/* Write a value: the member `name`, or, with NULL, an element of an array. Text and data that are
 * NULL are null. */
void result_put_text(struct pillion_request *req, const char *name, struct bytes text);
void result_put_base64(struct pillion_request *req, const char *name, struct bytes data);
void result_put_integer(struct pillion_request *req, const char *name, int64_t value);
void result_put_number(struct pillion_request *req, const char *name, double value);
/* Of JSON that is known to be valid. */
void result_put_json(struct pillion_request *req, const char *name, struct bytes json);

/* Writes the name of a member of the object that has been begun last, as it stands in JSON, with
 * its colon. Its value is what is written next, without a name. */
void result_put_key(struct pillion_request *req, struct bytes key);

/* The request is being deferred, or answered by something else: what is being written moves out of
 * the reply's place and goes on elsewhere, or is dropped. */
void result_keep(struct pillion_request *req);
void result_over(struct pillion_request *req);

/* Notes a mistake that the module has made in what is being written. `mistake` lives as long as the
 * request. */
void result_wrong(struct pillion_request *req, const char *mistake);

/* Answers with a mistake that the module has made, and logs it. */
void result_refuse(struct pillion_request *req, const char *mistake);

#endif
