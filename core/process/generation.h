/* A generation: one configuration, and the exact module bytes that go with it.
 *
 * Built in the master, before anybody depends on it, from sealed copies; shared with the processes
 * that are forked while it lives. It is never changed once it serves. */
#ifndef PILLION_PROCESS_GENERATION_H
#define PILLION_PROCESS_GENERATION_H

#include "conf/settings.h"
#include "module/set.h"
#include "net/arena.h"
#include "net/listener.h"
#include "process/capacity.h"
#include "process/preflight.h"
#include "process/privilege.h"
#include "process/serve_options.h"
#include "rpc/board.h"

/* A listener in a generation, and the server block that its connections belong to. */
struct generation_listener {
    struct listener *listener;
    const struct server_settings *server;
    int backlog;
    uint32_t count; /* of its sockets, those that this generation accepts from */
    bool reuseport; /* each worker from its own */
};

/* Connections of a listener that this generation has not, by the listeners' ids. */
struct heir {
    uint32_t listener; /* whose connections they were */
    uint32_t heir;     /* whose they are; this generation's */
};

struct generation {
    uint64_t number; /* from 1 */
    struct conf_tree *tree;
    struct settings *settings;
    struct module_source *sources; /* one for each load_module */
    size_t source_count;
    struct hearing hearing; /* what it is to listen on */
    struct generation_listener *listeners;
    size_t listener_count;
    struct heir *heirs; /* process/heirs.h */
    size_t heir_count;
    struct identity identity;
    struct arena_geometry geometry; /* of its workers' arenas */
    struct capacity capacity;
    struct text advice;      /* lines on what it cannot have, though it names it */
    uint32_t slots;          /* worker processes */
    uint32_t methods_before; /* on the board when it was registered */
    int log; /* opened for its workers and, when it serves, the master; -1: the master's goes on */
    bool registered;
    bool former;    /* it served under the binary that this one has replaced */
    bool resumed;   /* likewise, and only its workers are left: none can be started */
    uint32_t users; /* 1 for being current or next, and 1 for each worker process */
};

/* What a generation must be able to take over. */
struct generation_load {
    uint32_t slots;   /* workers that have it now */
    uint32_t records; /* connections: the most that one of them has, or may have until it leaves */
    uint32_t blocks;  /* likewise of their arenas */
};

/* Reads the configuration of `options` into a new tree and settings. NULL after an error, with the
 * errors in `errors`. Free with conf_tree_free; the settings live in the tree. */
struct conf_tree *generation_configure(const struct serve_options *options,
                                       struct settings **settings, struct conf_errors *errors);

/* Reads the configuration of `options` and seals its modules. NULL after an error, which is in
 * `errors`. The arenas are made large enough for `load` (or NULL: there is nothing). */
struct generation *generation_build(const struct serve_options *options, uint64_t number,
                                    const struct generation_load *load, struct conf_errors *errors);

/* Finds the capacity of a generation whose settings and slots are known. */
void generation_measure(struct generation *generation);

/* Finds or binds the generation's listeners. After a failure, which is in `errors`, those that were
 * newly bound are closed again by generation_unlisten. */
bool generation_listen(struct generation *generation, struct listeners *listeners,
                       struct conf_errors *errors);

/* Opens the file of the generation's log, once for all its processes: no child opens a file in a
 * directory that others may write, and none fails to start because the directory is gone. A log
 * that the master writes already goes on when it cannot be opened anew. May be called again. */
bool generation_open_log(struct generation *generation, struct conf_errors *errors);

/* It is current from now on: what was prepared for its listeners is put to use. What goes wrong
 * then is added to `errors`. */
void generation_accept(struct generation *generation, struct conf_errors *errors);

/* Closes the listeners that no generation uses any more, and takes back what was prepared for
 * others and not put to use. */
void generation_unlisten(struct generation *generation, struct listeners *listeners);

/* Puts the names of all enabled methods on the board. False when there are too many. */
bool generation_register(struct generation *generation, struct board *board,
                         struct conf_errors *errors);

/* Takes those names back that are on the board only for this generation, which will never serve. */
void generation_unregister(struct generation *generation, struct board *board);

/* One user less; the last one frees it (listeners excepted). */
void generation_release(struct generation *generation);

#endif
