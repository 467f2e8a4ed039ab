/* A module in C++17. */
#include <pillion/module.h>
#include <string>

static void reverse(pillion_request *req)
{
    const cJSON *params = pillion_params(req);
    if (!cJSON_IsString(params)) {
        pillion_fail(req, PILLION_INVALID_PARAMS, "give a string");
        return;
    }
    std::string text(params->valuestring);
    std::string turned(text.rbegin(), text.rend());
    pillion_reply(req, "reverse", cJSON_CreateString(turned.c_str()));
}

static const pillion_method methods[] = {
    {"reverse", reverse, "Turns a string around.", nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PILLION_MODULE(.name = "cxx", .version = "1.0.0", .methods = methods);
