/* Which of several servers that do the same work does it much worse than the others: by the share
 * of requests that it fails, or by how long it takes. A server that merely is as bad as all others
 * is no outlier: to leave it out would help nobody. */
#ifndef PILLION_MODULES_OUTLIER_H
#define PILLION_MODULES_OUTLIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTLIER_LEAST   20u   /* answers by which a server is judged */
#define OUTLIER_SLOW_US 5000u /* a server that is slower than others by less is not slow */

/* What a server has done since it was judged last. */
struct outlier_seen {
    uint32_t answers, errors;
    uint64_t logs; /* of the times that answers took: see outlier_log */
};

/* Sixteen times the binary logarithm of a time, about. The mean of logarithms is hardly moved by a
 * few requests that take very long, as some do in any server. */
static inline uint32_t outlier_log(uint64_t us)
{
    if (us < 2)
        return 0;
    uint32_t whole = 63u - (uint32_t)__builtin_clzll(us);
    uint64_t rest = us - (UINT64_C(1) << whole);
    return whole * 16 + (uint32_t)(whole >= 4 ? rest >> (whole - 4) : rest << (4 - whole));
}

/* The time that has this logarithm. */
static inline uint64_t outlier_time(uint32_t log)
{
    uint64_t whole = UINT64_C(1) << log / 16;
    return whole + whole * (log % 16) / 16;
}

/* Notes an answer, or that none came in this time. */
static inline void outlier_note(struct outlier_seen *seen, uint64_t us, bool failed)
{
    seen->answers++;
    seen->errors += failed;
    seen->logs += outlier_log(us);
}

static inline bool outlier_is_judged(const struct outlier_seen *seen)
{
    return seen->answers >= OUTLIER_LEAST;
}

/* The typical time of its answers. There is one at least. */
static inline uint64_t outlier_typical_us(const struct outlier_seen *seen)
{
    return outlier_time((uint32_t)(seen->logs / seen->answers));
}

/* All servers of a group together. */
struct outlier_sum {
    uint64_t answers, errors;
};

/* True when it fails `percent` of its requests more than the others do, in percentage points. 100
 * or more: never. */
static inline bool outlier_fails(const struct outlier_seen *seen, const struct outlier_sum *sum,
                                 unsigned percent)
{
    uint64_t answers = sum->answers - seen->answers, errors = sum->errors - seen->errors;

    if (!outlier_is_judged(seen) || answers < OUTLIER_LEAST || percent >= 100)
        return false;
    return (uint64_t)seen->errors * answers * 100 >
           (errors * 100 + percent * answers) * (uint64_t)seen->answers;
}

/* The median of the typical times of all but one, whose own time this is; `times` are all of them,
 * two or more, in ascending order. */
static inline uint64_t outlier_others_us(const uint64_t *times, size_t count, uint64_t own)
{
    size_t middle = (count - 2) / 2; /* once its own is taken away */
    return times[middle] >= own ? times[middle + 1] : times[middle];
}

/* True when it takes more than `times` as long as the others. 0: never. */
static inline bool outlier_is_slow(uint64_t own_us, uint64_t others_us, unsigned times)
{
    return times > 0 && own_us > others_us * times && own_us > others_us + OUTLIER_SLOW_US;
}

/* How many of a group may be left out at the same time: a share, but one at least. */
static inline size_t outlier_allowed(size_t count, unsigned percent)
{
    size_t allowed = count * percent / 100;
    return allowed == 0 ? 1 : allowed;
}

/* For how long a server is left out: longer each time, until it has done well for `longest_ms`. */
struct ejection {
    unsigned times;
    uint64_t until_ms;
};

/* It is left out from now on. Returns for how long. */
static inline uint64_t ejection_begin(struct ejection *ejection, uint64_t now_ms, uint64_t first_ms,
                                      uint64_t longest_ms)
{
    uint64_t ms = first_ms;

    if (ejection->times > 0 && now_ms > ejection->until_ms + longest_ms)
        ejection->times = 0;
    for (unsigned i = 0; i < ejection->times && ms < longest_ms; i++)
        ms *= 2;
    if (ms > longest_ms && longest_ms > first_ms)
        ms = longest_ms;
    else if (longest_ms <= first_ms)
        ms = first_ms;
    ejection->times += ejection->times < 32;
    ejection->until_ms = now_ms + ms;
    return ms;
}

#endif
