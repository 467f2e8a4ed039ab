/* The line. See tls_line.h. */
#include "cmd/tls_line.h"

#include "cmd/figures.h"

static void append_open(struct text *out, const struct sample *sample)
{
    text_printf(out, "TLS: %.0f connection%s by %.0f gate%s; ", sample->tls_open,
                sample->tls_open == 1 ? "" : "s", sample->gates, sample->gates == 1 ? "" : "s");
}

void tls_line(struct text *out, const struct sample *sample)
{
    append_open(out, sample);
    figure_count(out, sample->handshakes, 0);
    text_append_string(out, " handshakes, ");
    figure_count(out, sample->resumed, 0);
    text_append_string(out, " resumed, ");
    figure_count(out, sample->handshakes_failed, 0);
    text_printf(out, " failed, %.0f under way", sample->handshaking);
}

void tls_line_lately(struct text *out, const struct sample *sample)
{
    append_open(out, sample);
    figure_rate(out, sample->handshake_rate, 0);
    text_append_string(out, " handshakes/s, ");
    figure_rate(out, sample->handshake_failed_rate, 0);
    text_printf(out, " failed/s, %.0f under way", sample->handshaking);
}
