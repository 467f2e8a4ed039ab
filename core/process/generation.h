/* A generation: one configuration, and the exact module bytes that go with it.
 *
 * The master builds it from sealed copies, and processes that are forked while it lives share it.
 * It is never changed once it serves. */
#ifndef PILLION_PROCESS_GENERATION_H
#define PILLION_PROCESS_GENERATION_H

#include "conf/settings.h"
#include "module/set.h"
#include "net/arena.h"
#include "net/directory.h"
#include "net/listener.h"
#include "process/capacity.h"
#include "process/preflight.h"
#include "process/privilege.h"
#include "process/serve_options.h"
#include "rpc/board.h"

/* A listener in a generation, and the server block that its connections belong to. */
struct generation_listener {
    struct listener *listener;
    const struct listen_settings *settings; /* NULL after an upgrade */
    const struct server_settings *server;
    int backlog;
    uint32_t count;   /* how many of its sockets this generation accepts from */
    bool reuseport;   /* each worker accepts from its own socket */
    uint8_t protocol; /* of its connections */
    bool proxied;     /* each of its connections begins with a PROXY header */
    bool ssl;         /* its clients speak TLS with the gate, which hands them over */
};

/* Where the connections of a listener go that this generation does not have. Both are ids of
 * listeners. */
struct heir {
    uint32_t listener; /* the one that is gone */
    uint32_t heir;     /* the one of this generation that has its connections now */
};

struct generation {
    uint64_t number; /* from 1 */
    struct conf_tree *tree;
    struct settings *settings;
    struct module_file *module_files; /* one for each load_module */
    size_t module_file_count;
    int files; /* what its probe has read of directives' files: process/early_files.h; or -1 */
    struct hearing hearing;         /* the addresses to listen on */
    struct registering registering; /* the addresses to register */
    struct generation_listener *listeners;
    size_t listener_count;
    struct heir *heirs; /* process/heirs.h */
    size_t heir_count;
    struct identity identity;
    struct arena_geometry geometry; /* of its workers' arenas */
    struct capacity capacity;
    struct text advice;          /* a line for each wish that cannot be fulfilled */
    int64_t certificate_expires; /* as in rpc/board.h */
    uint32_t slots;              /* worker processes */
    uint32_t methods_before;     /* number on the board when it was registered */
    int log; /* for its workers, and for the master when it serves; -1: the master's present log */
    struct text found; /* the methods of `proxy_all` (process/gateway.h) */
    bool registered;
    bool former;    /* it served under the former binary */
    bool resumed;   /* likewise, and no more workers of it can be started */
    uint32_t users; /* 1 for being current or next, and 1 for each worker process */
};

/* The connections that a generation must be able to take over. */
struct generation_load {
    uint32_t slots;   /* workers that have them now */
    uint32_t records; /* most connections that one of them has, or may have until it leaves */
    uint32_t blocks;  /* likewise, blocks of its arena */
};

/* Reads the configuration of `options` into a new tree and settings. NULL after an error, with the
 * errors in `errors`. Free with conf_tree_free; the settings live in the tree. */
struct conf_tree *generation_configure(const struct serve_options *options,
                                       struct settings **settings, struct conf_errors *errors);

/* What a generation is built from beside the files of its configuration. */
struct generation_basis {
    const struct generation_load *load; /* what its arenas must have room for; NULL: nothing */
    const struct generation *again;     /* no file is read: this one's configuration and modules are
                                           used once more; NULL */
    const struct directory *directory;  /* where methods of `proxy_all` are found; NULL: nowhere */
    const struct board *board; /* with the names of methods that are known; NULL: none is */
};

/* Reads the configuration of `options` and seals its modules. NULL after an error, which is in
 * `errors`. */
struct generation *generation_build(const struct serve_options *options, uint64_t number,
                                    const struct generation_basis *basis,
                                    struct conf_errors *errors);

/* Computes the capacity of a generation whose settings and slots are known. */
void generation_measure(struct generation *generation);

/* Finds or binds the generation's listeners. After a failure, which is in `errors`,
 * generation_unlisten closes the newly bound ones again. */
bool generation_listen(struct generation *generation, struct listeners *listeners,
                       struct conf_errors *errors);

/* Opens the file of the generation's log, once for all its processes: so no child opens a file in a
 * directory that other users may write, and no child fails to start because the directory is gone.
 * If the file cannot be opened but the master writes to it already, that log goes on. May be called
 * again. */
bool generation_open_log(struct generation *generation, struct conf_errors *errors);

/* The generation is current from now on: commits the changes prepared for its listeners. Failures
 * are added to `errors`. */
void generation_accept(struct generation *generation, struct conf_errors *errors);

/* Gives the generation's listeners up. Closes those that no other generation uses, and takes back
 * the changes prepared for the rest that were not committed. */
void generation_unlisten(struct generation *generation, struct listeners *listeners);

/* Puts the names of all enabled methods on the board. False when there are too many. */
bool generation_register(struct generation *generation, struct board *board,
                         struct conf_errors *errors);

/* Takes those names back that are on the board only because of this generation, which will never
 * serve. */
void generation_unregister(struct generation *generation, struct board *board);

/* Whether the board has no room for names that are found, because of names that the generation has
 * not: an upgrade begins a board without those. */
bool generation_crowded_out(const struct generation *generation, const struct board *board);

/* Ends one use of the generation; the last one frees it, except its listeners. */
void generation_release(struct generation *generation);

#endif
