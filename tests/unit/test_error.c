/* Errors as values: their words, and the user whom they name. */
#include "base/error.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "unit.h"

START_TEST(words_and_name_of_the_number_follow)
{
    struct error error;

    errno = ENOENT;
    ck_assert(!error_errno(&error, "cannot open %s", "x"));
    ck_assert_str_eq(error.text, "cannot open x: No such file or directory (ENOENT)");
    error_prefix(&error, "line %d", 3);
    ck_assert_str_eq(error.text, "line 3: cannot open x: No such file or directory (ENOENT)");
}
END_TEST

START_TEST(a_permission_error_names_the_user_that_lacks_it)
{
    const struct passwd *user = getpwuid(geteuid());
    struct error error;
    char wanted[256];

    ck_assert_ptr_nonnull(user);
    snprintf(wanted, sizeof(wanted), "cannot open x: Permission denied (EACCES) for the user %s",
             user->pw_name);
    errno = EACCES;
    error_errno(&error, "cannot open x");
    ck_assert_str_eq(error.text, wanted);
    errno = EPERM;
    error_errno(&error, "cannot signal it");
    ck_assert_ptr_nonnull(strstr(error.text, "(EPERM) for the user "));
}
END_TEST

START_TEST(a_too_large_file_error_names_the_limit)
{
    struct rlimit limit = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    struct error error;

    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 4096;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    errno = EFBIG;
    error_errno(&error, "cannot write");
    limit.rlim_cur = before;
    setrlimit(RLIMIT_FSIZE, &limit);
    ck_assert_str_eq(error.text, "cannot write: File too large (EFBIG); RLIMIT_FSIZE (`ulimit -f`) "
                                 "allows files of 4096 bytes");
}
END_TEST

START_TEST(long_errors_are_cut)
{
    struct error error;
    char name[2 * ERROR_TEXT_MAX];

    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    errno = EACCES;
    error_errno(&error, "%s", name);
    ck_assert_uint_eq(strlen(error.text), ERROR_TEXT_MAX - 1);
    error_prefix(&error, "%s", name);
    ck_assert_uint_eq(strlen(error.text), ERROR_TEXT_MAX - 1);
}
END_TEST

UNIT_MAIN("error", words_and_name_of_the_number_follow,
          a_permission_error_names_the_user_that_lacks_it, a_too_large_file_error_names_the_limit,
          long_errors_are_cut)
