/* Modules' files: any bytes are read as a module without running it, or refused with a sentence.
 *
 * Seeds are the modules of the build. Everything that was read is read once more, as the commands
 * that print it do. */
#include <string.h>

#include "fuzz.h"
#include "module/manifest.h"

static size_t seen;

static void see(const char *string)
{
    if (string != NULL)
        seen += strlen(string);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest manifest;
    struct error error = {0};

    if (!manifest_read((struct bytes){(const char *)data, size}, &manifest, &error)) {
        require(error.text[0] != '\0');
        return 0;
    }
    see(manifest.descriptor.name);
    see(manifest.descriptor.version);
    see(manifest.descriptor.summary);
    for (const pillion_method *m = manifest.descriptor.methods; m->name != NULL; m++) {
        see(m->name);
        see(m->summary);
        see(m->params);
        see(m->result);
    }
    for (const pillion_directive *d = manifest.descriptor.directives; d->name != NULL; d++) {
        require(d->type == PILLION_ENUM || d->words == NULL);
        see(d->name);
        see(d->fallback);
        see(d->summary);
        for (const char *const *word = d->words; word != NULL && *word != NULL; word++)
            see(*word);
    }
    for (const char *const *name = manifest.needed; *name != NULL; name++)
        see(*name);
    for (const char *const *name = manifest.built_by; *name != NULL; name++)
        see(*name);
    manifest_close(&manifest);
    return 0;
}
