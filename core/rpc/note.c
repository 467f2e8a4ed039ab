/* Notes of the module and request for which a thread runs. See note.h. */
#include "rpc/note.h"

#include "base/log_seldom.h"
#include "rpc/metric.h"
#include "rpc/request.h"

static struct board_row *own_row; /* of this process, or NULL */
static uint64_t allowed;
static void (*tell_long)(const struct note *note, uint64_t ns);

static _Thread_local struct note current;
static _Thread_local bool on_loop;

void notes_init(struct board_row *row, uint64_t allowed_ns)
{
    own_row = row;
    allowed = allowed_ns;
    on_loop = true;
}

void notes_time(void (*told)(const struct note *note, uint64_t ns))
{
    tell_long = told;
}

static void publish(const struct note *note)
{
    struct board_note *to = &own_row->loop;

    atomic_store_explicit(&to->duty, (uint32_t)note->duty, memory_order_relaxed);
    atomic_store_explicit(&to->module, note->instance == NULL ? 0 : note->instance->number,
                          memory_order_relaxed);
    atomic_store_explicit(&to->method, note->origin.method, memory_order_relaxed);
    atomic_store_explicit(&to->connection, note->origin.connection, memory_order_relaxed);
    atomic_store_explicit(&to->place, note->origin.place, memory_order_relaxed);
}

struct note note_enter(enum board_duty duty, const pillion_instance *self,
                       const struct origin *origin)
{
    struct note before = current;

    current = (struct note){.duty = duty, .instance = self, .origin = *origin};
    if (own_row == NULL || !on_loop)
        return before;
    before.running = atomic_load_explicit(&own_row->running, memory_order_relaxed);
    if (tell_long != NULL)
        current.since_ns = clock_coarse_ns();
    publish(&current);
    atomic_store_explicit(&own_row->allowed_ns, allowed, memory_order_relaxed);
    counter_add(&own_row->dispatched, 1);
    atomic_store_explicit(&own_row->running, BOARD_CALLBACK, memory_order_release);
    return before;
}

void note_leave(const struct note *before)
{
    if (forked_is_child())
        forked_came_back();
    if (current.instance != NULL)
        metric_settle_cjson(current.instance);
    if (current.since_ns != 0) {
        uint64_t ns = clock_coarse_ns() - current.since_ns;
        if (ns >= NS_PER_MS)
            tell_long(&current, ns);
    }
    current = *before;
    if (own_row == NULL || !on_loop)
        return;
    publish(&current);
    atomic_store_explicit(&own_row->running, before->running, memory_order_release);
}

void note_origin_is(const struct origin *origin)
{
    if (current.duty == DUTY_NONE)
        return;
    current.origin = *origin;
    if (own_row != NULL && on_loop)
        publish(&current);
}

struct origin note_origin(void)
{
    const struct pillion_request *req = request_current();
    struct origin origin = current.origin;

    if (current.duty == DUTY_NONE && req != NULL)
        request_origin(req, &origin);
    return origin;
}

const pillion_instance *note_instance(void)
{
    const struct pillion_request *req = request_current();

    if (current.duty != DUTY_NONE || req == NULL)
        return current.instance;
    return request_instance(req);
}

struct whose note_whose(void)
{
    const struct pillion_request *req = request_current();
    const pillion_instance *instance = note_instance();
    const char *module = instance == NULL ? "?" : instance->name;

    if (req != NULL && req->method != NULL)
        return (struct whose){module, "\"", req->method->own_name};
    return (struct whose){module, "", on_loop ? "a callback" : "a thread"};
}

void note_misuse(const char *function, const char *what)
{
    struct whose whose = note_whose();

    log_seldom(LOG_ERROR_LEVEL, function, "module %s: %s%s%s called %s %s, which does nothing",
               whose.module, whose.quote, whose.code, whose.quote, function, what);
}

const struct note *note_current(void)
{
    return &current;
}
