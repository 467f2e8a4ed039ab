/* The tools with which the conformance suite of MCP tries a server, of those that a module of this
 * server can have. */
#include <pillion/module.h>

#define TEXT(text) "\"" text "\""

static void simple_text(pillion_request *req)
{
    static const char text[] = TEXT("This is a simple text response for testing.");

    pillion_reply_raw(req, "text", (pillion_bytes){text, sizeof(text) - 1});
}

static void fail(pillion_request *req)
{
    pillion_fail(req, "intended", "This tool intentionally returns an error for testing");
}

#define NO_PARAMS "{\"type\":\"object\",\"properties\":{}}"

/* Byte for byte what the suite compares with. */
#define SCHEMA_2020_12                                                                        \
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\","      \
    "\"$defs\":{\"address\":{\"$anchor\":\"addressDef\",\"type\":\"object\",\"properties\":{" \
    "\"street\":{\"type\":\"string\"},\"city\":{\"type\":\"string\"}}}},\"properties\":{"     \
    "\"name\":{\"type\":\"string\"},\"address\":{\"$ref\":\"#/$defs/address\"},"              \
    "\"contactMethod\":{\"type\":\"string\",\"enum\":[\"phone\",\"email\"]},"                 \
    "\"phone\":{\"type\":\"string\"},\"email\":{\"type\":\"string\"}},"                       \
    "\"allOf\":[{\"anyOf\":[{\"required\":[\"phone\"]},{\"required\":[\"email\"]}]}],"        \
    "\"if\":{\"properties\":{\"contactMethod\":{\"const\":\"phone\"}},"                       \
    "\"required\":[\"contactMethod\"]},\"then\":{\"required\":[\"phone\"]},"                  \
    "\"else\":{\"required\":[\"email\"]},\"additionalProperties\":false}"

/* Params that a client repeats in the fields Mcp-Param-Region and Mcp-Param-Limit. */
#define WITH_FIELDS                                                                          \
    "{\"type\":\"object\",\"properties\":{\"region\":{\"type\":\"string\",\"x-mcp-header\":" \
    "\"Region\"},"                                                                           \
    "\"page\":{\"type\":\"object\",\"properties\":{\"li\\u006dit\":{\"type\":\"integer\","   \
    "\"x-mcp-header\":\"Limit\"}}}}}"

static const pillion_method methods[] = {
    {.name = "test_simple_text", .handler = simple_text, .params = NO_PARAMS},
    {.name = "test_error_handling", .handler = fail, .params = NO_PARAMS},
    {.name = "test_logging_tool", .handler = simple_text, .params = NO_PARAMS},
    {.name = "test_streaming_elicitation", .handler = simple_text, .params = NO_PARAMS},
    {.name = "test_fields", .handler = simple_text, .params = WITH_FIELDS},
    {.name = "json_schema_2020_12_tool", .handler = simple_text, .params = SCHEMA_2020_12},
    {0},
};

PILLION_MODULE(.name = "tools", .version = "1.0.0", .methods = methods);
