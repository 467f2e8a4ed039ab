/* Names of methods: text that a client can put into a JSON string and an operator can read in a
 * log.
 */
#ifndef PILLION_CONF_METHOD_NAME_H
#define PILLION_CONF_METHOD_NAME_H

/* What is wrong with a name, as the end of a sentence; NULL: nothing. */
const char *method_name_fault(const char *name);

#endif
