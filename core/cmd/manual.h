/* Manual pages, in mdoc(7): the tables of commands, options, signals and directives put into pages
 * that are written by hand (docs/man), where these have one of the lines below.
 * NAME is a command's; without it, the server's own options are meant.
 *
 *     .\" @name NAME       .Nm and .Nd
 *     .\" @synopsis NAME   all forms of the command
 *     .\" @summary NAME    what it does, in a sentence
 *     .\" @notes NAME      what its help says below the options, but for the exit status
 *     .\" @options NAME    its options; to each, the lines that follow "@more OPTION" are added,
 *     .\" @end             up to here
 *     .\" @exit NAME       a section about its exit status
 *     .\" @commands        all commands, with their summaries
 *     .\" @others NAME     references to all commands but this one
 *     .\" @signals         what the master takes
 *     .\" @configuration   every directive of the server
 *     .\" @modules         every directive of the modules that are given */
#ifndef PILLION_CMD_MANUAL_H
#define PILLION_CMD_MANUAL_H

#include "base/bytes.h"
#include "base/error.h"

/* Appends the page `written`. Of the modules' files, as many as there are up to NULL, the
 * directives are told. False with the reason when a line asks for what there is not. */
bool manual_page(struct text *out, const char *written, const char *const *modules,
                 struct error *error);

#endif
