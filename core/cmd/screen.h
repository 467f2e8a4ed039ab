/* The whole terminal as a screen: keys as they are typed, and frames in place of lines.
 *
 * What screen_open changes, the terminal's modes (termios(3)), its alternate screen and its cursor,
 * is as before after screen_close, whatever ends the process but SIGKILL: at exit(3), and by a
 * signal that kills. While the process is stopped, the terminal is as before, too. */
#ifndef PILLION_CMD_SCREEN_H
#define PILLION_CMD_SCREEN_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/error.h"

/* Keys that are no characters. */
enum screen_key {
    KEY_NONE = 0,
    KEY_ENTER = '\r',
    KEY_ESCAPE = 27,
    KEY_ERASE = 127,
    KEY_UP = 256,
    KEY_DOWN,
    KEY_LEFT,
    KEY_RIGHT,
    KEY_PAGE_UP,
    KEY_PAGE_DOWN,
    KEY_HOME,
    KEY_END,
    KEY_OTHER /* a key that sends a sequence of its own */
};

/* True when both standard input and standard output are terminals that can do it. */
bool screen_is_possible(void);

/* False with the reason. */
bool screen_open(struct error *error);
void screen_close(void);

/* Stops this process as SIGTSTP does, with the terminal as before. Returns when it goes on, with
 * the screen open again. */
void screen_stop(void);

/* The terminal's size now; 80 columns and 24 rows where it does not say. */
void screen_size(int *columns, int *rows);

/* Replaces what the screen shows: lines that are each ended by "\n", as many as fit. */
void screen_draw(const struct text *frame);

/* Takes typed keys out of standard input: the next one, or KEY_NONE when there is none for now.
 * `*ended` becomes true at the end of the input. A lone ESC is a key once nothing has followed it
 * for a moment: until then screen_waits is true, and the caller looks again soon. */
int screen_key(bool *ended);
bool screen_waits(void);

#endif
