/* The strict JSON pass (RFC 8259), one look at every byte. The contract is in json.h.
 *
 * Each function takes one production of the grammar from `p` on and returns its end. Open arrays
 * and objects are a counter and a bit for each level, so depth costs no stack, and nothing is
 * allocated. Reading is always bounded by `end`: the text is not NUL-terminated and may lie at the
 * end of a mapping. Errors are cold: they may be slow, but point at the first byte that no valid
 * text could have there. */
#include "wire/json.h"

#include "wire/json_plain.h"
#include "wire/json_private.h"

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline const char *skip_digits(const char *p, const char *end)
{
    while (p < end && is_digit(*p))
        p++;
    return p;
}

__attribute__((cold, noinline)) const char *json_scan_fail(struct json_scan *scan, const char *at,
                                                           const char *reason)
{
    if (scan->start == scan->end)
        reason = "the text is empty";
    else if (at == scan->end)
        reason = "the text ends before its value does";
    scan->error = (struct json_error){(size_t)(at - scan->start), reason};
    return NULL;
}

/* ---- strings ---- */

int json_hex4(const char *p)
{
    int unit = 0;

    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* The code unit of the \uXXXX at `p`, whose \u has been seen; -1 with the error set. */
static int scan_unit(struct json_scan *scan, const char *p)
{
    const char *digits = p + 2;
    int unit = scan->end - digits >= 4 ? json_hex4(digits) : -1;

    if (unit < 0) {
        while (digits < scan->end && hex_digit(*digits) >= 0)
            digits++;
        json_scan_fail(scan, digits, "\\u is not followed by four hexadecimal digits");
    }
    return unit;
}

/* A \uXXXX, or two that make a surrogate pair (RFC 8259 section 7). */
static const char *scan_unicode_escape(struct json_scan *scan, const char *p, bool is_name)
{
    const char *const end = scan->end;
    const char *next = p + 6;
    int unit = scan_unit(scan, p);

    if (unit < 0)
        return NULL;
    if ((unit & 0xf800) != 0xd800)
        return next;
    if (json_is_high_surrogate(unit)) {
        if (next == end || (next + 1 == end && *next == '\\'))
            return json_scan_fail(scan, end, NULL);
        if (next[0] == '\\' && next[1] == 'u') {
            int second = scan_unit(scan, next);
            if (second < 0)
                return NULL;
            if (json_is_low_surrogate(second))
                return next + 6;
        }
    }
    if (is_name)
        return json_scan_fail(scan, p, "a member name holds half of a surrogate pair");
    return next;
}

static const char *scan_escape(struct json_scan *scan, const char *p, bool is_name)
{
    scan->escapes = true;
    if (scan->end - p < 2)
        return json_scan_fail(scan, scan->end, NULL);
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 2;
    case 'u':
        return scan_unicode_escape(scan, p, is_name);
    default:
        return json_scan_fail(scan, p + 1,
                              "a backslash is followed by a character that JSON cannot escape");
    }
}

/* Sets the error where the bytes at `p` stop being UTF-8: at `p`, or at the text's end if it was
 * cut inside a character, that is, if some continuation would complete one. */
__attribute__((cold, noinline)) static const char *fail_utf8(struct json_scan *scan, const char *p)
{
    size_t left = (size_t)(scan->end - p);

    for (int fill = 0x80; left < 4 && fill <= 0xbf; fill += 0x3f) {
        char whole[4];
        memset(whole, fill, sizeof(whole));
        memcpy(whole, p, left);
        if (utf8_sequence(whole, sizeof(whole)) > left)
            return json_scan_fail(scan, scan->end, NULL);
    }
    return json_scan_fail(scan, p, "a string is not UTF-8");
}

static inline bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Bytes of the well-formed sequence at `p`, which is before `end` and not ASCII, or 0. The most
 * frequent forms are tested here, those with special second bytes in utf8_sequence(). */
static inline size_t sequence_size(const char *p, const char *end)
{
    unsigned char lead = (unsigned char)*p;

    if (end - p >= 2 && lead >= 0xc2 && lead <= 0xdf)
        return is_continuation(p[1]) ? 2 : 0;
    if (end - p >= 3 && lead >= 0xe1 && lead <= 0xef && lead != 0xed)
        return is_continuation(p[1]) && is_continuation(p[2]) ? 3 : 0;
    return utf8_sequence(p, (size_t)(end - p));
}

/* Takes characters from U+0080 on, at least one, and all that follow each other. */
static const char *scan_utf8(struct json_scan *scan, const char *p)
{
    const char *const end = scan->end;

    while (p < end && (unsigned char)*p >= 0x80) {
        size_t size = sequence_size(p, end);
        if (size == 0)
            return fail_utf8(scan, p);
        p += size;
    }
    return p;
}

/* Takes the rest of a string from `p` on, where it is not plain. */
static const char *scan_string_on(struct json_scan *scan, const char *p, bool is_name)
{
    const char *const end = scan->end;

    while (p != NULL) {
        if (p == end)
            return json_scan_fail(scan, end, NULL);
        if (*p == '"')
            return p + 1;
        if (*p == '\\')
            p = scan_escape(scan, p, is_name);
        else if ((unsigned char)*p >= 0x80)
            p = scan_utf8(scan, p);
        else
            return json_scan_fail(scan, p, "a string holds a raw control character");
        if (p != NULL)
            p = json_skip_plain(p, end);
    }
    return NULL;
}

static inline const char *scan_string(struct json_scan *scan, const char *p, bool is_name)
{
    p = json_skip_plain(p + 1, scan->end);
    return p < scan->end && *p == '"' ? p + 1 : scan_string_on(scan, p, is_name);
}

/* ---- numbers and words ---- */

static inline const char *scan_number(struct json_scan *scan, const char *p)
{
    const char *const end = scan->end;
    const char *digits;

    if (*p == '-') {
        p++;
        if (p == end || !is_digit(*p))
            return json_scan_fail(scan, p, "a minus sign is not followed by a digit");
    }
    if (*p == '0') {
        p++;
        if (p < end && is_digit(*p))
            return json_scan_fail(scan, p, "a number may not start with 0 followed by a digit");
    } else {
        p = skip_digits(p, end);
    }
    if (p < end && *p == '.') {
        digits = p + 1;
        p = skip_digits(digits, end);
        if (p == digits)
            return json_scan_fail(scan, p, "a decimal point is not followed by a digit");
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        digits = p + 1;
        if (digits < end && (*digits == '+' || *digits == '-'))
            digits++;
        p = skip_digits(digits, end);
        if (p == digits)
            return json_scan_fail(scan, p, "a number's exponent has no digits");
    }
    return p;
}

static const char *scan_word(struct json_scan *scan, const char *p, struct bytes word)
{
    if ((size_t)(scan->end - p) >= word.size && memcmp(p, word.data, word.size) == 0)
        return p + word.size;
    for (size_t i = 0; p < scan->end && *p == word.data[i]; i++)
        p++;
    return json_scan_fail(scan, p, "a word is none of true, false and null");
}

/* ---- values ---- */

/* Why no value starts with this byte. */
__attribute__((cold, noinline)) static const char *fail_value(struct json_scan *scan, const char *p)
{
    static const struct {
        const char *bytes, *reason;
    } reasons[] = {
        {",]}:", "a value is missing"},
        {"'`", "a string must be in double quotes"},
        {"/#", "JSON has no comments"},
        {"+", "a number may not start with a plus sign"},
        {".", "a number may not start with a decimal point"},
    };

    if (p == scan->start && scan->end - p >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        return json_scan_fail(scan, p, "the text starts with a byte order mark");
    for (size_t i = 0; p < scan->end && i < sizeof(reasons) / sizeof(*reasons); i++) {
        if (*p != '\0' && strchr(reasons[i].bytes, *p) != NULL)
            return json_scan_fail(scan, p, reasons[i].reason);
    }
    return json_scan_fail(scan, p, "this is not the start of a value");
}

/* Notes whether an object or an array was opened at this depth, counted from 0. */
static inline void mark_open(struct json_scan *scan, uint32_t depth, bool is_object)
{
    uint64_t bit = UINT64_C(1) << (depth % 64), *word = &scan->objects[depth / 64];
    *word = is_object ? *word | bit : *word & ~bit;
}

/* True when the innermost open value, at `depth` counted from 1, is an object. */
static inline bool is_open_object(const struct json_scan *scan, uint32_t depth)
{
    return (scan->objects[(depth - 1) / 64] >> ((depth - 1) % 64) & 1) != 0;
}

/* `name_end` is where the name ends, behind its quote. */
static inline __attribute__((always_inline)) const char *
scan_name(struct json_scan *scan, const char *p, const char **name_end)
{
    const char *const end = scan->end;

    if (p == end || *p != '"')
        return json_scan_fail(scan, p, "a member name in double quotes is missing");
    p = scan_string(scan, p, true);
    if (p == NULL)
        return NULL;
    *name_end = p;
    if (p == end || *p != ':') {
        p = json_skip_space(p, end);
        if (p == end || *p != ':')
            return json_scan_fail(scan, p, "a colon is missing after a member name");
    }
    return json_skip_space(p + 1, end);
}

const char *json_scan_name(struct json_scan *scan, const char *p, struct bytes *name)
{
    const char *name_end = p, *value = scan_name(scan, p, &name_end);

    if (value != NULL)
        *name = (struct bytes){p, (size_t)(name_end - p)};
    return value;
}

static inline const char *scan_scalar(struct json_scan *scan, const char *p)
{
    switch (*p) {
    case '"':
        return scan_string(scan, p, false);
    case '-':
    case '0' ... '9':
        return scan_number(scan, p);
    case 't':
        return scan_word(scan, p, BYTES("true"));
    case 'f':
        return scan_word(scan, p, BYTES("false"));
    case 'n':
        return scan_word(scan, p, BYTES("null"));
    default:
        return fail_value(scan, p);
    }
}

/* The loop's own state is in variables, not in `scan`: through memory, each step would wait for the
 * one before. */
const char *json_scan_value(struct json_scan *scan, const char *p)
{
    const char *const end = scan->end;
    const uint32_t outer = scan->depth;
    uint32_t depth = outer, left = scan->values_left;
    bool in_object = false; /* the innermost open value is one; of no meaning at `outer` */
    const char *name_end;

    for (;;) {
        if (p == end)
            return fail_value(scan, p);
        if (left-- == 0)
            return json_scan_fail(scan, p, JSON_FAIL_VALUES);
        bool opens = *p == '{' || *p == '[', whole = true;
        if (opens) {
            if (depth >= scan->depth_max)
                return json_scan_fail(scan, p, JSON_FAIL_DEPTH);
            bool is_object = *p == '{';
            p = json_skip_space(p + 1, end);
            if (p < end && *p == (is_object ? '}' : ']')) {
                p++;
            } else {
                mark_open(scan, depth++, is_object);
                in_object = is_object;
                whole = false;
            }
        } else {
            p = scan_scalar(scan, p);
            if (p == NULL)
                return NULL;
        }
        /* A value is complete: closes the arrays and objects that end with it, down to the depth at
         * the start, or takes the comma before the next value. */
        while (whole && depth > outer) {
            if (p < end && *p != ',')
                p = json_skip_space(p, end);
            if (p < end && *p == ',') {
                p = json_skip_space(p + 1, end);
                whole = false;
            } else if (p < end && *p == (in_object ? '}' : ']')) {
                p++;
                depth--;
                in_object = depth > outer && is_open_object(scan, depth);
            } else {
                return json_scan_fail(scan, p,
                                      in_object ? JSON_FAIL_MEMBER
                                                : "a comma or ] is missing after an element");
            }
        }
        if (whole) {
            scan->values_left = left;
            return p;
        }
        if (in_object) {
            p = scan_name(scan, p, &name_end);
            if (p == NULL)
                return NULL;
        }
    }
}

bool json_check(struct bytes text, const struct json_limits *limits, struct json_error *error)
{
    struct json_scan scan;
    const char *p = json_scan_start(&scan, text, limits);

    p = json_scan_value(&scan, p);
    if (p != NULL && json_scan_end(&scan, p))
        return true;
    *error = scan.error;
    return false;
}
