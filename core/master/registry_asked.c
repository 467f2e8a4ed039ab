/* What is asked of the registry process. See registry_asked.h. */
#include "master/registry_asked.h"

#include <string.h>

#include "base/memory.h"
#include "master/fingerprint.h"
#include "master/generations.h"
#include "master/offers.h"

const struct registry_settings *registry_asked(void)
{
    const struct generation *current = generation_current();
    return current == NULL || current->settings == NULL ? NULL : current->settings->registry;
}

char *registry_asked_fingerprint(void)
{
    const struct settings *settings = generation_current()->settings;
    const struct registry_settings *block = settings->registry;
    const struct identity *identity = &generation_current()->identity;
    struct text text = {0};

    text_printf(&text, "%u %u %d\n", identity->user, identity->group, settings->sandbox);
    if (block != NULL) {
        for (size_t i = 0; i < block->urls.count; i++)
            text_printf(&text, "%s ", block->urls.items[i]);
        text_printf(&text, "%llu %llu %s", (unsigned long long)block->ttl_ms,
                    (unsigned long long)block->timeout_ms, block->user == NULL ? "" : block->user);
        fingerprint_file(&text, block->password_file);
        fingerprint_file(&text, block->ca);
        fingerprint_file(&text, block->cert);
        fingerprint_file(&text, block->key);
    }
    text_printf(&text, "\n%llu", (unsigned long long)settings->resolver_timeout_ms);
    for (size_t i = 0; i < settings->resolver.count; i++)
        text_printf(&text, " %s", settings->resolver.items[i]);
    text_append_char(&text, '\n');
    offers_print(&text);
    char *print = must_strdup(text_string(&text));
    text_free(&text);
    return print;
}

char *registry_asked_urls(void)
{
    const struct registry_settings *block = registry_asked();
    struct text text = {0};

    for (size_t i = 0; block != NULL && i < block->urls.count; i++)
        text_printf(&text, "%s ", block->urls.items[i]);
    return text_take(&text);
}

bool registry_asked_elsewhere(const char *urls)
{
    const struct registry_settings *block = registry_asked();

    if (block == NULL || urls == NULL)
        return false;
    for (size_t i = 0; i < block->urls.count; i++) {
        size_t size = strlen(block->urls.items[i]);
        for (const char *at = urls; *at != '\0'; at += strcspn(at, " ") + 1) {
            if (strncmp(at, block->urls.items[i], size) == 0 && at[size] == ' ')
                return false;
        }
    }
    return true;
}
