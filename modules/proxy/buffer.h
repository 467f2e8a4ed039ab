/* Bytes on their way over a connection. */
#ifndef PROXY_BUFFER_H
#define PROXY_BUFFER_H

#include <pillion/module.h>
#include <string.h>

#define BUFFER_FIRST 16384u
#define BUFFER_KEPT  262144u /* a larger one is freed when it is empty */

struct buffer {
    char *data;
    size_t start, end, capacity;
};

/* Makes room for `size` bytes at the end. False when memory ran out. */
static inline bool buffer_room(pillion_instance *self, struct buffer *buffer, size_t size)
{
    size_t held = buffer->end - buffer->start, capacity = buffer->capacity;

    if (buffer->start > 0 && capacity - buffer->end < size) {
        memmove(buffer->data, buffer->data + buffer->start, held);
        buffer->start = 0;
        buffer->end = held;
    }
    if (capacity - buffer->end >= size)
        return true;
    while (capacity - held < size)
        capacity = capacity == 0 ? BUFFER_FIRST : capacity * 2;
    char *grown = pillion_realloc(self, buffer->data, capacity);
    if (grown == NULL)
        return false;
    buffer->data = grown;
    buffer->capacity = capacity;
    return true;
}

/* The first `size` bytes are done with. */
static inline void buffer_take(pillion_instance *self, struct buffer *buffer, size_t size)
{
    buffer->start += size;
    if (buffer->start < buffer->end)
        return;
    buffer->start = buffer->end = 0;
    if (buffer->capacity <= BUFFER_KEPT)
        return;
    pillion_free(self, buffer->data);
    *buffer = (struct buffer){0};
}

#endif
