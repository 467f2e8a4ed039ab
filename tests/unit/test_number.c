/* Numbers of JSON by their digits, and base64: see core/wire/number.h and base64.h. */
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guarded.h"
#include "must.h"
#include "wire/base64.h"
#include "wire/number.h"

START_TEST(integers_are_exact_and_decided_on_the_digits)
{
    static const struct {
        const char *text;
        enum number_kind kind;
        int64_t value;
    } cases[] = {
        {"0", NUMBER_WHOLE, 0},
        {"-0", NUMBER_WHOLE, 0},
        {"0.000", NUMBER_WHOLE, 0},
        {"0e-400", NUMBER_WHOLE, 0},
        {"0.0e99999999999999999999", NUMBER_WHOLE, 0},
        {"1e3", NUMBER_WHOLE, 1000},
        {"1E+3", NUMBER_WHOLE, 1000},
        {"1000.0", NUMBER_WHOLE, 1000},
        {"1000.000e-3", NUMBER_WHOLE, 1},
        {"0.0012e4", NUMBER_WHOLE, 12},
        {"120e-1", NUMBER_WHOLE, 12},
        {"-1.5e1", NUMBER_WHOLE, -15},
        {"1e15", NUMBER_WHOLE, 1000000000000000},
        {"9007199254740993", NUMBER_WHOLE, 9007199254740993},
        {"9223372036854775807", NUMBER_WHOLE, INT64_MAX},
        {"-9223372036854775808", NUMBER_WHOLE, INT64_MIN},
        {"922337203685477580700e-2", NUMBER_WHOLE, INT64_MAX},
        {"9223372036854775807.000", NUMBER_WHOLE, INT64_MAX},
        {"0.00000000009223372036854775807e29", NUMBER_WHOLE, INT64_MAX},
        {"9223372036854775808", NUMBER_LARGE, 0},
        {"-9223372036854775809", NUMBER_LARGE, 0},
        {"18446744073709551616", NUMBER_LARGE, 0},
        {"1e19", NUMBER_LARGE, 0},
        {"1e99999999999999999999", NUMBER_LARGE, 0},
        {"1e-400", NUMBER_FRACTION, 0},
        {"1e-99999999999999999999", NUMBER_FRACTION, 0},
        {"0.1", NUMBER_FRACTION, 0},
        {"1.00000000000000000001", NUMBER_FRACTION, 0},
        {"9223372036854775807.5", NUMBER_FRACTION, 0},
        {"12345678901234567890123.4", NUMBER_FRACTION, 0},
        {"15e-1", NUMBER_FRACTION, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct bytes text = guarded(bytes_of(cases[i].text));
        int64_t value;
        ck_assert_msg(number_end(text.data, text.data + text.size) == text.data + text.size, "%s",
                      cases[i].text);
        ck_assert_msg(number_integer(text, &value) == cases[i].kind, "%s", cases[i].text);
        if (cases[i].kind == NUMBER_WHOLE)
            ck_assert_msg(value == cases[i].value, "%s is %lld", cases[i].text, (long long)value);
    }
}
END_TEST

START_TEST(doubles_are_the_nearest)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "1",
        "0.1",
        "-2.5e-3",
        "1e22",
        "1e23",
        "123456789012345678",
        "9007199254740993",
        "0.30000000000000004",
        "1.7976931348623157e308",
        "5e-324",
        "1e-400",
        "3.141592653589793238462643383279",
        "100000000000000000000000000000000000000000000000000e-50",
        "4503599627370497.5",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        double value, expected = strtod(texts[i], NULL);
        ck_assert(number_double(bytes_of(texts[i]), &value));
        ck_assert_msg(memcmp(&value, &expected, sizeof(value)) == 0, "%s is %.17g", texts[i],
                      value);
    }
    for (unsigned i = 0; i < 20000; i++) {
        char text[64];
        double value, given = (double)rand() / (double)(1 + rand()) * (i % 2 == 0 ? 1 : 1e-9);
        snprintf(text, sizeof(text), "%.*g", (int)(1 + i % 20), given);
        ck_assert(number_double(bytes_of(text), &value));
        ck_assert_msg(value == strtod(text, NULL), "%s", text);
    }
    double value;
    ck_assert(!number_double(BYTES("1e309"), &value));
    ck_assert(!number_double(BYTES("-1e99999999999999999999"), &value));
}
END_TEST

/* What is taken in one go is what it is otherwise; the other numbers are left alone. */
START_TEST(doubles_are_taken_as_most_are_written)
{
    static const struct {
        const char *text;
        bool taken;
    } cases[] = {
        {"0]", true},
        {"-0}", true},
        {"-0.0 ", true},
        {"19.99,", true},
        {"007.5,", true}, /* which is no JSON */
        {"0.00000000000001,", true},
        {"-123456789012.345,", true},
        {"999999999999999,", true},
        {"9999999999999999]", true}, /* sixteen digits without a point are one whole number */
        {"0.999999999999999,", false},
        {"12345678901234567]", false},
        {"100000000000000000000000000000000000000000000000000000000000,", false},
        {"1e3,", false},
        {"1.5E-3,", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct bytes text = guarded(bytes_of(cases[i].text));
        double value = 7, expected = strtod(cases[i].text, NULL);
        const char *end = number_take(text.data, &value);
        ck_assert_msg((end != NULL) == cases[i].taken, "%s", cases[i].text);
        if (end == NULL)
            expected = 7;
        else
            must(end == text.data + text.size - 1);
        ck_assert_msg(memcmp(&value, &expected, sizeof(value)) == 0, "%s", cases[i].text);
    }
    for (unsigned i = 0; i < 20000; i++) {
        char text[64];
        double value;
        int places = (int)(i % 16);
        snprintf(text, sizeof(text), "%.*f", places,
                 (double)rand() / (double)(1 + rand()) * (i % 3 == 0 ? -1 : 1));
        const char *end = number_take(text, &value);
        must(end != NULL || strlen(text) > 16);
        must(end == NULL || (*end == '\0' && value == strtod(text, NULL)));
    }
}
END_TEST

START_TEST(doubles_are_written_short_and_read_back_the_same)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {100, "100"},
                 {-3, "-3"},
                 {0.1, "0.1"},
                 {1e6, "1e6"},
                 {2.5e7, "2.5e7"},
                 {1e-7, "1e-7"},
                 {1e100, "1e100"},
                 {0.3, "0.3"},
                 {1.0 / 3, "0.3333333333333333"},
                 {1234567, "1234567"},
                 {-0.5, "-0.5"},
                 {-0.05, "-0.05"},
                 {-1e-7, "-1e-7"},
                 {-1e20, "-1e20"},
                 {1e-100, "1e-100"}};
    char text[NUMBER_TEXT_MAX];

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        ck_assert_uint_eq(number_write(cases[i].value, text), strlen(cases[i].text));
        ck_assert_str_eq(text, cases[i].text);
    }
}
END_TEST

START_TEST(data_is_printed_and_reads_back_the_same)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {-0.5, "-0.5"},
                 {0.1, "0.1"},
                 {0.29, "0.29"},
                 {-1.005, "-1.005"},
                 {1e6, "1000000"},
                 {19.99, "19.99"},
                 {1e14 + 1, "100000000000001"},
                 {1e15, "1e15"},
                 {1e-6, "0.000001"},
                 {1.5e-7, "1.5e-7"},
                 {1.0 / 3, "0.3333333333333333"},
                 {123456789.123456, "123456789.123456"},
                 {1e300, "1e300"}};
    char text[NUMBER_TEXT_MAX];

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        ck_assert_uint_eq(number_print(cases[i].value, text), strlen(cases[i].text));
        ck_assert_str_eq(text, cases[i].text);
    }
    for (int i = 0; i < 300000; i++) { /* any bits, few decimals, sums that are off by a little */
        uint64_t bits = (uint64_t)random_below(1u << 31) << 33 ^ (uint64_t)random_below(1u << 31)
                                                                     << 3;
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (i % 3 == 1)
            value = (double)random_below(1u << 30) / 1000 * (i % 2 == 0 ? 1 : -1);
        else if (i % 3 == 2)
            value = (double)random_below(1000000) * 0.1 + (double)random_below(100) * 0.01;
        if (!isfinite(value))
            continue;
        must(number_print(value, text) < NUMBER_TEXT_MAX);
        must(strtod(text, NULL) == value);
    }
}
END_TEST

START_TEST(numbers_are_compared_by_their_digits)
{
    /* In ascending order, but for those that are equal to the one before. */
    static const char *const ascending[] = {"-1e99999",
                                            "-1e400",
                                            "-123456789012345678901234567891",
                                            "-123456789012345678901234567890",
                                            "-1.5",
                                            "-1",
                                            "=-1.000",
                                            "=-0.1e1",
                                            "-1e-400",
                                            "0",
                                            "=-0",
                                            "=0.000e5",
                                            "=0e99999",
                                            "1e-5000",
                                            "1e-400",
                                            "0.1",
                                            "=1e-1",
                                            "=0.10",
                                            "0.10000000000000000000000000001",
                                            "1",
                                            "9007199254740992",
                                            "9007199254740993",
                                            "=9007199254740993.0",
                                            "=90071992547409930e-1",
                                            "123456789012345678901234567890",
                                            "=1234567890123456789012345678900e-1",
                                            "123456789012345678901234567891",
                                            "1e400",
                                            "=10e399",
                                            "1e401",
                                            "1e59999",
                                            "1e99999"};

    for (size_t i = 0; i < sizeof(ascending) / sizeof(*ascending); i++) {
        size_t last = i;
        while (last + 1 < sizeof(ascending) / sizeof(*ascending) && ascending[last + 1][0] == '=')
            last++;
        struct bytes a = bytes_of(ascending[i] + (ascending[i][0] == '='));
        for (size_t j = i; j < sizeof(ascending) / sizeof(*ascending); j++) {
            struct bytes b = guarded(bytes_of(ascending[j] + (ascending[j][0] == '=')));
            int order = number_compare(a, b);
            ck_assert_msg(j <= last ? order == 0 : order < 0, "%s %s", a.data, ascending[j]);
            ck_assert_int_eq(number_compare(b, a), -order);
            ck_assert(order != 0 || number_hash(a) == number_hash(b));
        }
    }
}
END_TEST

START_TEST(divisors_are_exact)
{
    static const struct {
        const char *divisor, *number;
        bool divides;
    } cases[] = {
        {"0.01", "19.99", true},
        {"0.1", "0.3", true},
        {"0.01", "0.001", false},
        {"3", "-9", true},
        {"3", "1e20", false},
        {"1e3", "5000", true},
        {"1e3", "5500", false},
        {"7", "0", true},
        {"16", "1e4", true},
        {"16", "1e3", false},
        {"576460752303423488", "1e59", true},
        {"576460752303423488", "1e58", false},
        {"999999999999999999", "999999999999999998000000000000000001", true},
        {"999999999999999999", "999999999999999998000000000000000002", false},
        {"1", "1e999999", true},
        {"7", "1e999999", false},
        {"1", "1e-999999", false},
        {"1e300", "1e299", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        ck_assert_msg(number_divides(bytes_of(cases[i].divisor),
                                     guarded(bytes_of(cases[i].number))) == cases[i].divides,
                      "%s %s", cases[i].divisor, cases[i].number);
    ck_assert_uint_eq(number_digits(BYTES("-00.0120e5")), 2);
    ck_assert_uint_eq(number_digits(BYTES("0.0")), 0);
}
END_TEST

START_TEST(base64_is_decoded_strictly)
{
    static const struct {
        const char *text, *decoded;
        long size;
    } cases[] = {
        {"", "", 0},
        {"Zg==", "f", 1},
        {"Zm8=", "fo", 2},
        {"Zm9v", "foo", 3},
        {"Zm9vYmFy", "foobar", 6},
        {"AAA=", "\0\0", 2},
        {"+/+/", "\xfb\xff\xbf", 3},
        {"Zg", NULL, -1},
        {"Zg=", NULL, -1},
        {"Z===", NULL, -1},
        {"====", NULL, -1},
        {"Zh==", NULL, -1}, /* bits that stand for nothing */
        {"Zm9=", NULL, -1},
        {"Zm9v\n", NULL, -1},
        {"Zm-_", NULL, -1},
        {"Zg==Zg==", NULL, -1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct bytes text = guarded(bytes_of(cases[i].text));
        char to[16];
        long size = base64_decode(text, to);
        ck_assert_msg(size == cases[i].size, "%s: %ld", cases[i].text, size);
        if (size > 0)
            ck_assert_mem_eq(to, cases[i].decoded, (size_t)size);
    }
}
END_TEST

UNIT_MAIN("number", integers_are_exact_and_decided_on_the_digits, doubles_are_the_nearest,
          doubles_are_taken_as_most_are_written, doubles_are_written_short_and_read_back_the_same,
          data_is_printed_and_reads_back_the_same, numbers_are_compared_by_their_digits,
          divisors_are_exact, base64_is_decoded_strictly)
