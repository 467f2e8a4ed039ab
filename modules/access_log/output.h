/* The file to which lines are written: opened, opened anew when it is moved, and written without
 * waiting for a reader. Lines that cannot be written are lost, and the server's log tells how
 * many. */
#ifndef PILLION_ACCESS_LOG_OUTPUT_H
#define PILLION_ACCESS_LOG_OUTPUT_H

#include <pillion/module.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct output {
    const char *path;
    pillion_instance *self;
    int fd;
    bool regular; /* it is a regular file, which is always ready */
    bool torn;    /* the last line that was written has no end */
    uint64_t looked_ms;
    uint64_t lost; /* lines lost since the last complaint */
    int error;     /* the reason, an errno */
    uint64_t complained_ms;
    pillion_handle complaint; /* set while a complaint is due */
};

/* False with errno. */
bool output_open(struct output *output, pillion_instance *self, const char *path);

/* False with errno when the file cannot be opened: the former one stays in use. */
bool output_open_anew(struct output *output);

/* Writes whole lines. */
void output_write(struct output *output, char *data, size_t size);

void output_close(struct output *output);

#define CANNOT_REOPEN "cannot open %s anew: %s; the former file goes on"

#endif
