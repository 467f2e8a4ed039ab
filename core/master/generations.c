/* The generations of a server. See generations.h. */
#include "master/generations.h"

static struct {
    struct generation *current, *next;
    uint64_t last_number;
} generations;

struct generation *generation_current(void)
{
    return generations.current;
}

struct generation *generation_next(void)
{
    return generations.next;
}

uint64_t generation_last_number(void)
{
    return generations.last_number;
}

void generation_try(struct generation *next)
{
    generations.next = next;
    generations.last_number = next->number;
}

struct generation *generation_commit(void)
{
    struct generation *former = generations.current;

    generations.current = generations.next;
    generations.next = NULL;
    return former;
}

struct generation *generation_drop(void)
{
    struct generation *dropped = generations.next;

    generations.next = NULL;
    return dropped;
}

void generation_resume(struct generation *current, uint64_t last_number)
{
    generations.current = current;
    generations.last_number = last_number;
}
