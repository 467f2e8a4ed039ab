/* A module in C++17, with all tables: as their authors write them, they give no warnings
 * (`make header`). */
#include <pillion/module.h>
#include <string>

namespace
{

struct config {
    const char *mark;
    int64_t most;
};

const pillion_directive directives[] = {
    {.name = "mark",
     .type = PILLION_STRING,
     .offset = offsetof(config, mark),
     .fallback = "",
     .summary = "Stands behind what is turned around."},
    {.name = "most", .type = PILLION_INTEGER, .offset = offsetof(config, most), .max = 9},
    {},
};

void reverse(pillion_request *req)
{
    const cJSON *params = pillion_params(req);
    if (!cJSON_IsString(params)) {
        pillion_fail(req, PILLION_INVALID_PARAMS, "give a string");
        return;
    }
    std::string text(params->valuestring);
    std::string turned(text.rbegin(), text.rend());
    auto *mine = static_cast<const config *>(pillion_config(pillion_self(req)));
    turned += mine->mark;
    pillion_reply(req, "reverse", cJSON_CreateString(turned.c_str()));
}

struct place {
    int64_t line;
};

struct repeat {
    const char *text;
    int64_t times;
    int order;
    pillion_array places;
};

const char *const orders[] = {"forward", "backward", nullptr};

const pillion_param place_params[] = {
    PILLION_PARAM(place, line, PILLION_INTEGER, .min = 1),
    {},
};

const pillion_param repeat_params[] = {
    PILLION_PARAM(repeat, text, PILLION_STRING, .required = true, .summary = "What."),
    PILLION_PARAM(repeat, times, PILLION_INTEGER, .fallback = "1", .min = 1, .max = 9),
    PILLION_PARAM(repeat, order, PILLION_ENUM, .words = orders),
    PILLION_PARAM(repeat, places, PILLION_OBJECT, .list = true,
                  PILLION_MEMBERS(place, place_params)),
    {0},
};

struct repeated {
    pillion_bytes text;
    int64_t places;
};

const pillion_param repeated_rows[] = {
    PILLION_PARAM(repeated, text, PILLION_TEXT, .required = true, .summary = "It all."),
    PILLION_PARAM(repeated, places, PILLION_INTEGER),
    {},
};

void repeat_text(pillion_request *req)
{
    auto *params = static_cast<const repeat *>(pillion_args(req));
    std::string text;

    for (int64_t i = 0; i < params->times; i++)
        text += params->text;
    const repeated result = {{text.data(), text.size()},
                             static_cast<int64_t>(params->places.count)};
    pillion_reply_struct(req, "repeat", &result);
}

void after(pillion_request *req)
{
    const pillion_log_field fields[] = {{.name = "mark", .text = "seen"}, {.name = "n"}, {}};

    pillion_log_request(req, PILLION_LOG_DEBUG, fields, "%s", "it was seen");
    pillion_count(pillion_self(req), 0, 1);
}

const pillion_method methods[] = {
    {"reverse", reverse, "Turns a string around.", nullptr, nullptr}, /* as 1.0 had them */
    {.name = "repeat",
     .handler = repeat_text,
     .read_only = true,
     .title = "Repeat",
     PILLION_PARAMS(repeat, repeat_params),
     PILLION_GIVES(repeated, repeated_rows)},
    {0},
};

const pillion_filter filters[] = {{.name = "see", .after = after}, {}};
const pillion_metric metrics[] = {{.name = "seen", .type = PILLION_COUNTER}, {}};

} // namespace

PILLION_MODULE(.name = "cxx", .version = "1.0.0", .methods = methods, .directives = directives,
               .config_size = sizeof(config), .filters = filters, .metrics = metrics);
