/* Reading `traceparent`. See traceparent.h. */
#include "wire/traceparent.h"

#include <string.h>

enum { VERSION_AT = 0, TRACE_AT = 3, SPAN_AT = 36, FLAGS_AT = 53 };

static const struct {
    unsigned char at, size;
} parts[] = {{VERSION_AT, 2}, {TRACE_AT, 32}, {SPAN_AT, 16}, {FLAGS_AT, 2}};

/* Digits in lower case: the others are not allowed. */
static bool is_hex(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'a' && text[i] <= 'f'))
            return false;
    }
    return true;
}

static bool is_zero(const char *text, size_t size)
{
    return strspn(text, "0") >= size;
}

bool traceparent_read(struct bytes text, char to[TRACEPARENT_SIZE + 1])
{
    if (text.data == NULL || text.size < TRACEPARENT_SIZE)
        return false;
    memcpy(to, text.data, TRACEPARENT_SIZE);
    to[TRACEPARENT_SIZE] = '\0';
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        if (!is_hex(to + parts[i].at, parts[i].size) || (i > 0 && to[parts[i].at - 1] != '-'))
            return false;
    }
    if (memcmp(to, "ff", 2) == 0 || is_zero(to + TRACE_AT, 32) || is_zero(to + SPAN_AT, 16))
        return false;
    if (memcmp(to, "00", 2) == 0)
        return text.size == TRACEPARENT_SIZE;
    if (text.size > TRACEPARENT_SIZE && text.data[TRACEPARENT_SIZE] != '-')
        return false;
    bool sampled = strchr("13579bdf", to[FLAGS_AT + 1]) != NULL;
    memcpy(to, "00", 2);
    memcpy(to + FLAGS_AT, sampled ? "01" : "00", 2);
    return true;
}
