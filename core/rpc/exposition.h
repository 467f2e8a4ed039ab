/* The board as metrics of Prometheus, in its text format:
 * https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4.
 *
 * Times are in seconds and sizes in bytes, as promtool wants them. Labels are names of the
 * configuration only, and numbers of worker slots: no client can make a series. Any process. */
#ifndef PILLION_RPC_EXPOSITION_H
#define PILLION_RPC_EXPOSITION_H

#include "base/bytes.h"
#include "rpc/board.h"

/* Appends all of them. */
void exposition_write(const struct board *board, struct text *out);

#endif
