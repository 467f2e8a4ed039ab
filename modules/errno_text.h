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

static inline struct errno_text errno_text(int number)
{
    const struct passwd *user = number == EACCES || number == EPERM ? getpwuid(geteuid()) : NULL;
    struct errno_text words;

    snprintf(words.text, sizeof(words.text), "%s%s%s", strerror(number),
             user == NULL ? "" : " for the user ", user == NULL ? "" : user->pw_name);
    return words;
}

#endif
