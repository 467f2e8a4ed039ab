/* The least that any server costs: sends frames back as they are, all of a recv(2) with one
 * send(2), without JSON, state or statistics. Pillion's cost is what it adds to this.
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
