/* The watchdog: ends workers whose handler runs for longer than it may. Master only. */
#ifndef PILLION_MASTER_WATCHDOG_H
#define PILLION_MASTER_WATCHDOG_H

/* Sets the watchdog's pace for the current generation. */
void watchdog_start(void);

/* The server ends. */
void watchdog_stop(void);

#endif
