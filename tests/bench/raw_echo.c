/* The floor: frames come back as they are, all that a recv(2) brought with one send(2). No JSON, no
 * state, no statistics. What Pillion adds to this is what it costs.
 *
 *     raw_echo PORT */
#include "bare.h"

static void echo(int fd, char *frames, size_t size)
{
    bare_send(fd, frames, size);
}

int main(int argc, char **argv)
{
    return bare_serve(argc, argv, echo);
}
