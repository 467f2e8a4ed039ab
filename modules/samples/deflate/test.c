/* The sample deflate, called by <pillion/test.h>. */
#include <stdio.h>
#include <string.h>

#include "../check_main.h"

#define METHODS "method deflate; method inflate;"

START_TEST(what_was_compressed_is_there_again)
{
    static const char *const formats[] = {"zlib", "gzip", "raw"};
    char params[256];

    ck_assert_started("load_module ./deflate.so;", METHODS);
    for (int level = 0; level <= 9; level++) {
        for (size_t f = 0; f < sizeof(formats) / sizeof(*formats); f++) {
            snprintf(params, sizeof(params),
                     "{\"data\":\"AAECAwQF/w==\",\"level\":%d,\"format\":\"%s\"}", level,
                     formats[f]);
            const char *data = strstr(pillion_test_call("deflate", params).result, ":\"") + 2;
            snprintf(params, sizeof(params), "{\"data\":\"%.*s\",\"format\":\"%s\"}",
                     (int)strcspn(data, "\""), data, formats[f]);
            ck_assert_result("inflate", params, "{\"data\":\"AAECAwQF/w==\",\"size\":7}");
        }
    }
    ck_assert_result("deflate", "{\"data\":\"\"}", "{\"data\":\"eJwDAAAAAAE=\",\"size\":8}");
    ck_assert_result("inflate", "{\"data\":\"eJwDAAAAAAE=\"}", "{\"data\":\"\",\"size\":0}");
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(params_are_as_the_table_says)
{
    ck_assert_started("load_module ./deflate.so;", METHODS);
    ck_assert_str_eq(
        pillion_test_call("deflate", "{\"data\":\"%\",\"level\":10,\"format\":\"zip\"}").message,
        "params.data: base64 of at most 8388608 bytes, got a string that is none; params.level: a "
        "whole number from 0 to 9, got 10; params.format: one of \"zlib\", \"gzip\", \"raw\", got "
        "\"zip\"");
    ck_assert_error("inflate", "{\"data\":\"aGVsbG8=\"}", "invalid_params");
    ck_assert_str_eq(pillion_test_call("inflate", "{\"data\":\"eNrLSM3JyQcABiw=\"}").message,
                     "params.data: it ends too early");
    ck_assert(pillion_test_stop());
}
END_TEST

START_TEST(a_result_is_as_large_as_allowed)
{
    /* Five bytes, compressed. */
    ck_assert_started("load_module ./deflate.so { largest 5; }", METHODS);
    ck_assert_result("inflate", "{\"data\":\"eNrLSM3JyQcABiwCFQ==\"}",
                     "{\"data\":\"aGVsbG8=\",\"size\":5}");
    ck_assert(pillion_test_stop());
    ck_assert_started("load_module ./deflate.so { largest 4; }", METHODS);
    ck_assert_error("inflate", "{\"data\":\"eNrLSM3JyQcABiwCFQ==\"}", "too_large");
    ck_assert_int_eq(pillion_test_metric("deflate", "memory_bytes"), 0);
    ck_assert(pillion_test_stop());
}
END_TEST

SAMPLE_TESTS("deflate", what_was_compressed_is_there_again, params_are_as_the_table_says,
             a_result_is_as_large_as_allowed)
