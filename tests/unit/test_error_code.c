/* What the table of errors promises: see core/wire/error_code.h. */
#include "unit.h"

#include <ctype.h>
#include <pillion/module.h>
#include <string.h>

#include "wire/error_code.h"

/* What the specification of JSON-RPC gives (section 5.1). */
START_TEST(errors_of_jsonrpc_have_its_numbers)
{
    ck_assert_int_eq(error_code_find(ERROR_PARSE_ERROR)->number, -32700);
    ck_assert_int_eq(error_code_find(ERROR_INVALID_REQUEST)->number, -32600);
    ck_assert_int_eq(error_code_find(ERROR_METHOD_NOT_FOUND)->number, -32601);
    ck_assert_int_eq(error_code_find(PILLION_INVALID_PARAMS)->number, -32602);
    ck_assert_int_eq(error_code_find(PILLION_INTERNAL_ERROR)->number, -32603);
}
END_TEST

START_TEST(every_error_is_found_by_its_name)
{
    static const char *const of_core[] = {ERROR_PARSE_ERROR,
                                          ERROR_INVALID_REQUEST,
                                          ERROR_METHOD_NOT_FOUND,
                                          ERROR_TIMEOUT,
                                          ERROR_FRAME_TOO_LARGE,
                                          ERROR_MODULE_CRASHED,
                                          ERROR_METHOD_QUARANTINED,
                                          PILLION_INVALID_PARAMS,
                                          PILLION_INTERNAL_ERROR,
                                          PILLION_OVERLOADED,
                                          "not_a_frame"};
    size_t count;
    const struct error_code *codes = error_codes(&count);

    for (size_t i = 0; i + 1 < count; i++)
        ck_assert_ptr_eq(error_code_find(codes[i].name), &codes[i]);
    for (size_t i = 0; i < sizeof(of_core) / sizeof(*of_core); i++)
        ck_assert_str_eq(error_code_find(of_core[i])->name, of_core[i]);
}
END_TEST

/* No row's number is reserved for what the specification may still define, and none is there
 * twice. */
START_TEST(numbers_are_of_one_error_each)
{
    size_t count;
    const struct error_code *codes = error_codes(&count);

    for (size_t i = 0; i < count; i++) {
        bool reserved = codes[i].number >= -32768 && codes[i].number <= -32000;
        bool of_mcp = strcmp(codes[i].name, ERROR_HEADER_MISMATCH) == 0 ||
                      strcmp(codes[i].name, ERROR_UNSUPPORTED_VERSION) == 0;
        bool standard = of_mcp || codes[i].number == -32700 ||
                        (codes[i].number >= -32603 && codes[i].number <= -32600);
        ck_assert_msg(reserved == standard, "%s", codes[i].name);
        ck_assert_msg(standard || codes[i].number / 100 == codes[i].status, "%s", codes[i].name);
        ck_assert(codes[i].status >= 400 && codes[i].status <= 599);
        for (const char *p = codes[i].meaning; *p != '\0'; p++)
            ck_assert(isupper((unsigned char)*p) || *p == '_');
        ck_assert_int_eq(codes[i].help[strlen(codes[i].help) - 1], '.');
        for (size_t j = 0; j < i; j++)
            ck_assert_int_ne(codes[i].number, codes[j].number);
    }
}
END_TEST

START_TEST(codes_that_modules_make_have_one_number)
{
    size_t count;
    const struct error_code *codes = error_codes(&count), *other = &codes[count - 1];

    ck_assert_str_eq(other->name, "");
    ck_assert_int_eq(other->number, 50000);
    ck_assert_ptr_eq(error_code_find("out_of_cheese"), other);
    ck_assert_ptr_eq(error_code_find(""), other);
    ck_assert_ptr_eq(error_code_find("zzz"), other);
}
END_TEST

UNIT_MAIN("error_code", errors_of_jsonrpc_have_its_numbers, every_error_is_found_by_its_name,
          numbers_are_of_one_error_each, codes_that_modules_make_have_one_number)
