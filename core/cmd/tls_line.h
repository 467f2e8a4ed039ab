/* What gates do, in a line: for `pillion status` and `pillion top`. */
#ifndef PILLION_CMD_TLS_LINE_H
#define PILLION_CMD_TLS_LINE_H

#include "base/bytes.h"
#include "cmd/sample.h"

/* "TLS: 3 connections by 2 gates; 7 handshakes, 1 resumed, 3 failed, 0 under way": since the
 * server's start. For a server that has gates, or had. */
void tls_line(struct text *out, const struct sample *sample);

/* "TLS: 3 connections by 2 gates; 4.5 handshakes/s, 0 failed/s, 0 under way": since the sample
 * before. */
void tls_line_lately(struct text *out, const struct sample *sample);

#endif
