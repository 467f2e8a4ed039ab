/* Where tests mark ports that they have taken, for those that run at the same time: see
 * e2e/harness_server.c. */
#ifndef PILLION_TESTS_PORTS_H
#define PILLION_TESTS_PORTS_H

#define PORT_MARKS 0x7f000003u /* 127.0.0.3, by UDP sockets; tests/ports.py has it, too */

#endif
