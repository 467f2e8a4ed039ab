/* What the master does when one of its processes says something or ends. This is the one file that
 * includes all the others that have a part in it; those include each other only downwards. Master
 * only. */
#ifndef PILLION_MASTER_EVENTS_H
#define PILLION_MASTER_EVENTS_H

/* Ties the master's files together. Call this before anything else in a master. */
void events_begin(void);

#endif
