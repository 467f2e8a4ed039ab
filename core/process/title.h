/* Process titles: what ps(1) and top(1) show. */
#ifndef PILLION_PROCESS_TITLE_H
#define PILLION_PROCESS_TITLE_H

/* Once, early in main: makes room. Writing over the arguments is how a title is set, so they, and
 * the environment behind them, are copied first; `argv` points at the copies afterwards. */
void title_init(int argc, char **argv);

/* "pillion: " and this. Also the thread's name, in short. Any process. */
__attribute__((format(printf, 1, 2))) void title_set(const char *format, ...);

#endif
