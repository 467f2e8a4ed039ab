/* Descriptions of modules, made from their files, for the commands that print them. */
#ifndef PILLION_CMD_DESCRIBE_H
#define PILLION_CMD_DESCRIBE_H

#include "base/bytes.h"
#include "module/manifest.h"

/* Reads a module's file without running it. Close with manifest_close. */
bool describe_read(const char *path, struct manifest *manifest, struct error *error);

/* Appends `string` in a form that a terminal may hold; bytes that are not UTF-8 become U+FFFD. */
void describe_text(struct text *out, const char *string);

/* "integer"; a later header may have kinds that this binary does not know. */
const char *describe_kind(const pillion_directive *directive);
bool describe_bounded(const pillion_directive *directive);

/* "integer, 1 to 1000, default 100" */
void describe_directive(struct text *out, const pillion_directive *directive);

/* Appends the module's documentation, as Markdown. */
void describe_markdown(struct text *out, const struct manifest *manifest);

/* "counter" or "gauge". */
const char *describe_metric(const pillion_metric *metric);

#endif
