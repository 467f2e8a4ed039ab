/* Why a file could not be opened, in words: for a missing permission they name the user, since
 * workers do not run as the user who started the server. */
#ifndef PILLION_MODULES_ERRNO_TEXT_H
#define PILLION_MODULES_ERRNO_TEXT_H

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct errno_text {
    char text[256];
};

/* Within the sandbox a user's name cannot be looked up, and the number stands for it. */
static inline struct errno_text errno_text(int number)
{
    const char *words = strerror(number);
    struct errno_text made;

    if (number != EACCES && number != EPERM) {
        snprintf(made.text, sizeof(made.text), "%s", words);
        return made;
    }
    const struct passwd *user = getpwuid(geteuid());
    if (user != NULL)
        snprintf(made.text, sizeof(made.text), "%s for the user %s", words, user->pw_name);
    else
        snprintf(made.text, sizeof(made.text), "%s for the user %u", words, (unsigned)geteuid());
    return made;
}

#endif
