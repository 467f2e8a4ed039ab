/* Process titles: what ps(1) and top(1) show for master, vaults, probes and workers. A title is
 * written over the process's arguments, so title_init must have moved them first. Any process. */
#ifndef PILLION_PROCESS_TITLE_H
#define PILLION_PROCESS_TITLE_H

/* Call this once, early in main. A title is set by writing over the arguments, so they and the
 * environment behind them are copied first; `argv` points at the copies afterwards. */
void title_init(int argc, char **argv);

/* Sets the title to "pillion: " and this text, and the thread's name to its beginning. Any
 * process. */
__attribute__((format(printf, 1, 2))) void title_set(const char *format, ...);

#endif
