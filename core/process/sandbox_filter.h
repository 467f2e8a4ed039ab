/* The filter on system calls (seccomp(2)): a program of classic BPF, made of the table of
 * sandbox_calls.h for one process.
 *
 * Its own code instead of libseccomp: the core links libc and cJSON alone, the table is needed
 * anyway to name a call in the log, and a program of some hundred instructions is quickly made. It
 * is a binary tree over ranges of numbers, so that no call has more than ten comparisons.
 * Linux 5.11 and later run it only for calls whose arguments it looks at: others are known by a
 * bitmap. Calls by the numbers of another architecture (int $0x80, x32) are refused. */
#ifndef PILLION_PROCESS_SANDBOX_FILTER_H
#define PILLION_PROCESS_SANDBOX_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define SANDBOX_FILTER_MAX 4096u /* BPF_MAXINSNS */

/* Writes the program for a process with `needs`, whose id is `self`. Returns its length. */
unsigned sandbox_filter_make(uint32_t needs, pid_t self,
                             struct sock_filter program[SANDBOX_FILTER_MAX]);

/* Puts all threads of the calling process under the filter, for good. no_new_privs has to be set.
 * False with the reason. */
bool sandbox_filter_enter(uint32_t needs, struct error *error);

#endif
