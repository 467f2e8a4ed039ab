/* Between C++ and the server, which is C: no exception crosses it, and objects end with what they
 * belong to. A start for C++ modules of your own: take what you need. */
#pragma once

#include <pillion/module.h>

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace pillion {

/* Thrown, it answers the request: with a code of your own, and words for people. */
struct failure : std::runtime_error {
    failure(std::string code_, const std::string &message)
        : std::runtime_error(message), code(std::move(code_))
    {
    }
    std::string code;
};

inline std::string_view view(pillion_bytes text)
{
    return {text.data, text.size};
}

inline pillion_bytes bytes(std::string_view text)
{
    return {text.data(), text.size()};
}

/* In a catch block: answers the request as the exception says. */
inline void fail(pillion_request *req) noexcept
{
    try {
        throw;
    } catch (const failure &e) {
        pillion_fail(req, e.code.c_str(), "%s", e.what());
    } catch (const std::invalid_argument &e) {
        pillion_fail(req, PILLION_INVALID_PARAMS, "%s", e.what());
    } catch (const std::bad_alloc &) {
        pillion_fail(req, PILLION_OVERLOADED, "out of memory");
    } catch (const std::exception &e) {
        pillion_fail(req, PILLION_INTERNAL_ERROR, "%s", e.what());
    } catch (...) {
        pillion_fail(req, PILLION_INTERNAL_ERROR, "an exception of an unknown type");
    }
}

/* A handler for the table of methods, made of a function that may throw before it has answered or
 * deferred: `.handler = pillion::handler<greet, greet_run>`. */
template <typename Params, void (*run)(pillion_request *, const Params &)>
void handler(pillion_request *req) noexcept
{
    try {
        run(req, *static_cast<const Params *>(pillion_args(req)));
    } catch (...) {
        fail(req);
    }
}

/* An object in the request's memory, which is destroyed when the request is over. */
template <typename T, typename... Arguments>
T &make(pillion_request *req, Arguments &&...arguments)
{
    void *room = pillion_alloc(req, sizeof(T));
    if (room == nullptr)
        throw std::bad_alloc();
    T *made = new (room) T(std::forward<Arguments>(arguments)...);
    if (!pillion_on_end(req, [](void *data) { static_cast<T *>(data)->~T(); }, made)) {
        made->~T();
        throw std::bad_alloc();
    }
    return *made;
}

/* A request that is answered later. One whose owner is gone has an error for an answer: none is
 * forgotten. */
class deferred {
public:
    deferred() = default;
    explicit deferred(pillion_request *req, uint64_t timeout_ms = 0)
        : token(pillion_defer(req, timeout_ms))
    {
    }
    deferred(deferred &&other) noexcept : token(std::exchange(other.token, 0)) {}
    deferred &operator=(deferred &&other) noexcept
    {
        std::swap(token, other.token);
        return *this;
    }
    ~deferred()
    {
        if (pillion_request *req = resume())
            pillion_fail(req, PILLION_INTERNAL_ERROR, "the request was given up");
    }

    /* To be answered now; nullptr when nobody waits any more. */
    pillion_request *resume() noexcept
    {
        return token == 0 ? nullptr : pillion_resume(std::exchange(token, 0));
    }

private:
    pillion_token token = 0;
};

} // namespace pillion
