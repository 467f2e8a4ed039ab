/* The results that come back over a connection: they answer the requests of its calls, in the order
 * of sending. */
#ifndef POSTGRES_RESULT_H
#define POSTGRES_RESULT_H

#include "state.h"

/* Takes results that have arrived, as many as one turn of the loop may. `more` becomes true when
 * there may be others. False when the connection has ended. */
bool calls_take(struct connection *connection, bool *more);

#endif
