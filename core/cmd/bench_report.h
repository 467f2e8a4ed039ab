/* The report of `pillion bench`, in the order that people know from other tools: summary,
 * histogram, distribution, codes. */
#ifndef PILLION_CMD_BENCH_REPORT_H
#define PILLION_CMD_BENCH_REPORT_H

#include "cmd/bench_load.h"

/* `cpu_us` is what the load has cost this process. */
void bench_print(const char *method, const struct load_plan *plan, const struct load_result *result,
                 double cpu_us);
void bench_print_json(const char *method, const struct load_plan *plan,
                      const struct load_result *result, double cpu_us);

/* Appends "CODE: MESSAGE" of the first error reply, or its text when it was cut and is no JSON any
 * more. */
void bench_first_error(const struct load_result *result, struct text *out);

#endif
