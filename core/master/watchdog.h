/* The watchdog: kills workers whose handler runs for longer than handler_timeout. Master only. */
#ifndef PILLION_MASTER_WATCHDOG_H
#define PILLION_MASTER_WATCHDOG_H

/* Starts the watchdog, or sets its pace anew for the current generation. */
void watchdog_start(void);

/* Stops the watchdog, at the server's end. */
void watchdog_stop(void);

#endif
