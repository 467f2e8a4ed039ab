/* The files that `pillion new` writes: data for new.c. */
#ifndef PILLION_CMD_NEW_FILES_H
#define PILLION_CMD_NEW_FILES_H

#include <sys/types.h>

enum new_language { NEW_ALWAYS, NEW_IN_C, NEW_IN_CXX };

struct new_file {
    const char *path; /* below the module's directory; in it and in `text`, @NAME@ and other words
                       * are replaced by new.c */
    const char *text;
    mode_t mode;
    const char *about;          /* shown next to the file's name when it is written */
    enum new_language language; /* whose module has this file */
};

extern const struct new_file new_files[]; /* ended by path NULL */

#endif
