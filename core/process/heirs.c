/* Finding heirs. See heirs.h. */
#include "process/heirs.h"

#include "base/memory.h"

static const struct generation_listener *listener_in(const struct generation *generation,
                                                     uint32_t id)
{
    for (size_t i = 0; i < generation->listener_count; i++) {
        if (generation->listeners[i].listener->id == id)
            return &generation->listeners[i];
    }
    return NULL;
}

/* The listener of `in` that is the first one shared with `block`, a server block of `of`; or
 * NULL. */
static const struct generation_listener *common(const struct generation *of,
                                                const struct server_settings *block,
                                                const struct generation *in)
{
    const struct generation_listener *found = NULL;

    for (size_t i = 0; i < of->listener_count && found == NULL; i++) {
        if (of->listeners[i].server == block)
            found = listener_in(in, of->listeners[i].listener->id);
    }
    return found;
}

/* A listener of the only block of `of` that has no listener in common with `in`. NULL when there is
 * no such block, or more than one. */
static const struct generation_listener *stranger(const struct generation *of,
                                                  const struct generation *in)
{
    const struct generation_listener *found = NULL;

    for (size_t i = 0; i < of->listener_count; i++) {
        const struct generation_listener *l = &of->listeners[i];
        if (common(of, l->server, in) != NULL || (found != NULL && found->server == l->server))
            continue;
        if (found != NULL)
            return NULL;
        found = l;
    }
    return found;
}

/* The heir of a listener of `current`, or NULL. It is a listener of the same server block: the
 * block that shares an address with the former one, or, when a single block has changed all its
 * addresses, the one block without any of the former addresses. Any other block may be meant for
 * other clients. */
static const struct generation_listener *find(const struct generation_listener *gone,
                                              const struct generation *current,
                                              const struct generation *next)
{
    if (gone->server == NULL) /* a former binary did not hand its server block on */
        return NULL;
    const struct generation_listener *heir = common(current, gone->server, next), *moved;
    if (heir != NULL)
        return heir;
    moved = stranger(current, next);
    return moved != NULL && moved->server == gone->server ? stranger(next, current) : NULL;
}

static void add(struct generation *next, uint32_t listener, const struct generation_listener *heir)
{
    if (heir == NULL)
        return;
    next->heirs = must_realloc(next->heirs, (next->heir_count + 1) * sizeof(*next->heirs));
    next->heirs[next->heir_count++] = (struct heir){listener, heir->listener->id};
}

void heirs_find(struct generation *next, const struct generation *current, bool former)
{
    for (size_t i = 0; i < current->listener_count; i++) {
        const struct generation_listener *l = &current->listeners[i];
        if (listener_in(next, l->listener->id) == NULL)
            add(next, l->listener->id, find(l, current, next));
    }
    for (size_t i = 0; former && i < current->heir_count; i++)
        add(next, current->heirs[i].listener, heir_of(next, current->heirs[i].heir));
}

const struct generation_listener *heir_of(const struct generation *generation, uint32_t id)
{
    const struct generation_listener *found = listener_in(generation, id);

    for (size_t i = 0; i < generation->heir_count && found == NULL; i++) {
        if (generation->heirs[i].listener == id)
            found = listener_in(generation, generation->heirs[i].heir);
    }
    return found;
}
