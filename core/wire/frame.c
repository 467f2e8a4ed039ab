/* Writing a frame's header. See frame.h. */
#include "wire/frame.h"

void frame_header(uint32_t size, char out[FRAME_HEADER_SIZE])
{
    for (unsigned i = 0; i < FRAME_HEADER_SIZE; i++)
        out[i] = (char)(unsigned char)(size >> (8 * i));
}
