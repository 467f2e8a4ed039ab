/* cxx: a module in C++17. What a client got wrong is thrown from wherever it is found, and stops at
 * the border to the server (border.hh); what a request owns ends with it.
 *
 *     load_module modules/cxx.so;
 *     server {
 *         ...
 *         method calc;     # {"formula": "2 * (x + 1)", "values": [{"name": "x", "is": 3}]} -> 8
 *         method meet;     # {"room": "tea", "name": "Ada", "seats": 2} -> ["Ada", "Bob"], when all
 *     }                    # seats are taken
 *
 *     c++ -std=c++17 -shared -fPIC $(pkg-config --cflags pillion) -o cxx.so cxx.cc */
#include "border.hh"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <vector>

namespace {

/* ---- calc ---- */

struct value {
    const char *name;
    double is;
};

struct calc {
    pillion_bytes formula;
    pillion_array values; /* of struct value */
    int64_t digits;
};

const pillion_param value_params[] = {
    PILLION_PARAM(value, name, PILLION_STRING, .min = 1, .max = 20, .required = true),
    PILLION_PARAM(value, is, PILLION_NUMBER, .required = true),
    {},
};

const pillion_param calc_params[] = {
    PILLION_PARAM(calc, formula, PILLION_TEXT, .min = 1, .max = 200, .required = true),
    PILLION_PARAM(calc, values, PILLION_OBJECT, .list = true, .most = 20,
                  PILLION_MEMBERS(value, value_params)),
    PILLION_PARAM(calc, digits, PILLION_INTEGER, .fallback = "6", .min = 0, .max = 15),
    {},
};

/* formula = product { + | - product };  product = factor { * | / factor };
 * factor = number | name | ( formula ) | - factor */
class formula {
public:
    formula(std::string_view text_, std::map<std::string_view, double> values_)
        : text(text_), values(std::move(values_))
    {
    }

    double result()
    {
        double sum = this->sum();
        if (next() != '\0')
            throw std::invalid_argument("the formula goes on with \"" + std::string(text) + "\"");
        return sum;
    }

private:
    std::string_view text; /* what is left of it */
    std::map<std::string_view, double> values;

    char next()
    {
        text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
        return text.empty() ? '\0' : text.front();
    }

    bool skip(char wanted)
    {
        bool there = next() == wanted;
        text.remove_prefix(there);
        return there;
    }

    double sum()
    {
        double left = product();
        for (;;) {
            if (skip('+'))
                left += product();
            else if (skip('-'))
                left -= product();
            else
                return left;
        }
    }

    double product()
    {
        double left = factor();
        for (;;) {
            if (skip('*'))
                left *= factor();
            else if (skip('/'))
                left = quotient(left, factor());
            else
                return left;
        }
    }

    static double quotient(double left, double right)
    {
        if (right == 0)
            throw pillion::failure("division_by_zero", "the formula divides by zero");
        return left / right;
    }

    double factor()
    {
        double number = 0;
        if (skip('-'))
            return -factor();
        if (skip('(')) {
            number = sum();
            if (!skip(')'))
                throw std::invalid_argument("a \")\" is missing");
            return number;
        }
        next();
        if (auto end = std::from_chars(text.data(), text.data() + text.size(), number);
            end.ec == std::errc()) {
            text.remove_prefix(static_cast<size_t>(end.ptr - text.data()));
            return number;
        }
        size_t size = std::min(text.find_first_of(" +-*/()"), text.size());
        auto found = values.find(text.substr(0, size));
        if (found == values.end())
            throw std::invalid_argument("a number or a name is wanted in place of \"" +
                                        std::string(text) + "\"");
        text.remove_prefix(size);
        return found->second;
    }
};

void calc_run(pillion_request *req, const calc &params)
{
    std::map<std::string_view, double> values;
    auto *given = static_cast<const value *>(params.values.items);

    std::for_each(given, given + params.values.count,
                  [&](const value &each) { values[each.name] = each.is; });
    double result = formula(pillion::view(params.formula), std::move(values)).result();
    double scale = std::pow(10, static_cast<double>(params.digits));
    pillion_reply(req, "calc", cJSON_CreateNumber(std::round(result * scale) / scale));
}

/* ---- meet ---- */

struct meet {
    const char *room;
    const char *name;
    int64_t seats;
};

const pillion_param meet_params[] = {
    PILLION_PARAM(meet, room, PILLION_STRING, .min = 1, .max = 100, .required = true),
    PILLION_PARAM(meet, name, PILLION_STRING, .min = 1, .max = 100, .required = true),
    PILLION_PARAM(meet, seats, PILLION_INTEGER, .fallback = "2", .min = 2, .max = 100),
    {},
};

/* A guest sits in its room for as long as its request waits: when the client leaves, or has waited
 * for too long, the destructor frees the seat. */
struct guest {
    using list = std::vector<guest *>;

    guest(list &room_, const meet &params) : room(room_), name(params.name) { room.push_back(this); }
    ~guest() { room.erase(std::remove(room.begin(), room.end(), this), room.end()); }
    guest(const guest &) = delete;

    list &room;
    std::string name;
    pillion::deferred request;
};

std::map<std::string, guest::list, std::less<>> rooms; /* of this worker */

void meet_run(pillion_request *req, const meet &params)
{
    guest::list &room = rooms[params.room];

    guest &last = pillion::make<guest>(req, room, params);
    guest::list all = room; /* each leaves its room once it is answered */
    std::vector<std::string> names;
    for (const guest *each : all)
        names.push_back(each->name);

    last.request = pillion::deferred(req); /* what can throw is behind us */
    if (all.size() < static_cast<size_t>(params.seats))
        return;
    for (guest *each : all) {
        pillion_request *waiting = each->request.resume();
        if (waiting == nullptr)
            continue;
        pillion_begin_array(waiting, "meet");
        for (const std::string &name : names)
            pillion_put_text(waiting, nullptr, pillion::bytes(name));
        pillion_end(waiting);
    }
}

const pillion_method methods[] = {
    {.name = "calc",
     .handler = pillion::handler<calc, calc_run>,
     .summary = "Works out a formula.",
     .read_only = true,
     PILLION_PARAMS(calc, calc_params)},
    {.name = "meet",
     .handler = pillion::handler<meet, meet_run>,
     .summary = "Waits in a room until all of its seats are taken, and tells by whom.",
     PILLION_PARAMS(meet, meet_params)},
    {},
};

} // namespace

PILLION_MODULE(.name = "cxx", .version = "1.0.0", .summary = "Calculates, and has people meet.",
               .methods = methods);
