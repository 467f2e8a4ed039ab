/* What a configuration or another server declares of a method: whatever the text is, it is read or
 * refused, and what is read can be used as the header says. The first byte decides whether mistakes
 * are errors. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "module/declared.h"
#include "module/descriptor.h"
#include "rpc/schema.h"

static void check_schema(const char *text)
{
    struct error error;
    struct schema *schema = text == NULL ? NULL : schema_make(bytes_of(text), &error);

    require(text == NULL || schema != NULL);
    schema_free(schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct declared declared;
    struct text advice = {0};
    struct pool pool = {0};
    struct error error;

    if (size == 0)
        return 0;
    const bool lenient = data[0] % 2 == 0;
    char *text = malloc(size);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    bool good = declared_read(text, lenient, &pool, &declared, &advice, &error);
    require(good || !lenient);
    require(!good || lenient || advice.size == 0);
    if (good) {
        require(descriptor_text_is_line(declared.summary));
        require(descriptor_text_is_line(declared.title));
        check_schema(declared.params);
        check_schema(declared.result);
    }
    pool_free(&pool);
    text_free(&advice);
    free(text);
    return 0;
}
