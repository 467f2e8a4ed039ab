/* What follows when a process of the server says something or ends: the one place that knows all
 * files that have a part in it. They know each other only downwards. Master only. */
#ifndef PILLION_MASTER_EVENTS_H
#define PILLION_MASTER_EVENTS_H

/* Ties the master's files together. Before anything else in a master. */
void events_begin(void);

#endif
