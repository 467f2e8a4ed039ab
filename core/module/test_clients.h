/* The clients of a trial (test_api.c): whose connection a request comes by, and what modules keep
 * for it. Client 0 is there from the start. */
#ifndef PILLION_MODULE_TEST_CLIENTS_H
#define PILLION_MODULE_TEST_CLIENTS_H

#include "rpc/conn_values.h"

/* The client whose the next request is. */
unsigned test_client_current(void);

/* True when the client is there. */
bool test_client_is_there(unsigned client);

/* Tells of its connection; of a client that is gone nothing. */
void test_client_tell(unsigned client, struct request_connection *to);

/* What is kept for it, or NULL. */
struct conn_values *test_client_values(unsigned client);

/* The client is gone. Its requests are over, or hold what is kept for it (conn_values_use). */
void test_client_end(unsigned client);

/* The modules are to stop. Client 0 is the only one again, and new. */
void test_clients_end(void);

#endif
