/* Throws whatever there is to throw, at the border that the sample cxx has (border.hh), and forgets
 * a request that it has deferred. */
#include "../../modules/samples/cxx/border.hh"

namespace
{

const char *const kinds[] = {"failure", "argument", "memory", "error", "number", "late", nullptr};
enum { FAILURE, ARGUMENT, MEMORY, ERROR, NUMBER };

struct what {
    int what;
};

const pillion_param params[] = {
    PILLION_PARAM(what, what, PILLION_ENUM, .words = kinds, .required = true),
    {},
};

int destroyed;

struct counted {
    ~counted() { destroyed++; }
};

void throws(pillion_request *req, const what &args)
{
    pillion::make<counted>(req);
    switch (args.what) {
    case FAILURE:
        throw pillion::failure("own_code", "its own words");
    case ARGUMENT:
        throw std::invalid_argument("not this");
    case MEMORY:
        throw std::bad_alloc();
    case ERROR:
        throw std::runtime_error("a mistake");
    case NUMBER:
        throw 1;
    default:
        pillion::deferred forgotten(req); /* nobody answers it */
    }
}

void count(pillion_request *req)
{
    pillion_reply(req, "destroyed", cJSON_CreateNumber(destroyed));
}

const pillion_method methods[] = {
    {.name = "throws",
     .handler = pillion::handler<what, throws>,
     PILLION_PARAMS(what, params)},
    {.name = "destroyed", .handler = count},
    {},
};

} // namespace

PILLION_MODULE(.name = "throws", .version = "1.0.0", .methods = methods);
