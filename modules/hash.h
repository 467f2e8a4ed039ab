/* A hash of bytes that is the same in all processes, on all machines and in all versions: servers
 * that never talk to each other make the same choice by it. It is not meant to withstand anybody
 * who looks for collisions. */
#ifndef PILLION_MODULES_HASH_H
#define PILLION_MODULES_HASH_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Every bit of the result depends on every bit of `x`: the finalizer of MurmurHash3 (Appleby). */
static inline uint64_t hash_mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

/* Eight bytes at a time, each mixed in by a rotation and a multiplication. */
static inline uint64_t hash_bytes(const char *data, size_t size)
{
    uint64_t hash = 0x9e3779b97f4a7c15u ^ size;

    for (; size > 0;) {
        uint64_t word = 0;
        size_t taken = size < 8 ? size : 8;
        memcpy(&word, data, taken);
        hash ^= le64toh(word) * 0x87c37b91114253d5u;
        hash = (hash << 27 | hash >> 37) * 0x4cf5ad432745937fu;
        data += taken;
        size -= taken;
    }
    return hash_mix(hash);
}

#endif
