/* The core's settings: one structure for each kind of block, as the configuration gives them.
 * settings_table.h fills them; nothing changes them afterwards. Strings and lists live in the
 * tree's pool. */
#ifndef PILLION_CONF_SETTINGS_H
#define PILLION_CONF_SETTINGS_H

#include <sys/types.h>

#include "base/access.h"
#include "base/log.h"
#include "base/network.h"
#include "conf/table.h"

/* `listen ADDRESS [protocol=P] [backlog=N] [reuseport] [proxy_protocol] [mode=N]
 * [group=G];` net/address.h checks the address, and errors point at `place`. */
struct listen_settings {
    const char *address;
    int backlog;
    bool reuseport;
    uint8_t protocol; /* of its connections: wire/protocol.h */
    bool proxy_protocol;
    bool ssl;    /* the gate ends TLS there */
    mode_t mode; /* of a Unix socket's file */
    gid_t group; /* likewise; (gid_t)-1: as it comes */
    struct conf_place place;
    struct listen_settings *next;
};

#define SSL_CERTIFICATES_MAX 64u

/* Whether clients are asked for a certificate. */
enum ssl_verify { SSL_VERIFY_OFF, SSL_VERIFY_OPTIONAL, SSL_VERIFY_ON };

/* The `ssl_…` directives, for the addresses of a server that have `ssl`. */
struct ssl_settings {
    struct conf_list certificates, keys; /* absolute paths; as many of both */
    unsigned protocols;                  /* bit 0: TLS 1.2; 1: TLS 1.3 */
    const char *ciphers;                 /* of TLS 1.2; NULL: OpenSSL's */
    int verify_client;                   /* enum ssl_verify */
    const char *client_certificates;     /* absolute path, or NULL */
    bool session_tickets;
    uint64_t session_timeout_ms;
    uint64_t handshake_timeout_ms;
    int64_t handshakes; /* of one address at the same time */
};

/* `proxy_from NETWORK …;` */
struct network_settings {
    struct network *networks;
    size_t count;
};

/* `allow …;` and `deny …;`, in the order written */
struct access_settings {
    struct access_rule *rules;
    size_t count;
};

/* `limit_conn N [rate=N/s|N/m];` */
struct limit_conn_settings {
    int64_t most; /* connections of an address at the same time; 0: any number */
    int64_t rate; /* new ones of an address in `period_s` seconds; 0: any number */
    int64_t period_s;
};

/* `filter NAME;` or `filter NAME { directives of the filter }` */
struct filter_settings {
    const char *name;
    const struct conf_statement *block; /* the filter's own directives, unread so far */
    struct conf_place place;            /* of the name */
    struct filter_settings *next;
};

/* `pool NAME threads=N [queue=N];` */
struct pool_settings {
    const char *name;
    int64_t threads;
    int64_t queue;
    unsigned index; /* 1, 2, … in the order written */
    struct conf_place place;
    struct pool_settings *next;
};

/* Whose threads a module or a method uses. */
struct pool_choice {
    const char *name; /* NULL: it does not choose */
    const struct conf_word *word;
    unsigned index; /* of the pool */
};

/* Whether a request of the method may be run twice. */
enum idempotent { IDEMPOTENT_DECLARED, IDEMPOTENT_OFF, IDEMPOTENT_ON };

/* Whether agents are offered the method; TOOL_DECLARED: when it declares its params. */
enum tool { TOOL_DECLARED, TOOL_OFF, TOOL_ON };

/* What of that which a method declares is enforced; VALIDATE_DEFAULT: what the server says, whose
 * own default are the params. */
enum validate { VALIDATE_DEFAULT, VALIDATE_OFF, VALIDATE_PARAMS, VALIDATE_ALL };

#define SLOW_AS_SERVER UINT64_MAX /* what the server says holds for the method */

/* `method NAME;` or `method NAME { handler MODULE.METHOD; timeout TIME; the handler's own }`; or,
 * for the first handler of a module that has directives, `MODULE_method NAME WORD… { the same }` */
struct method_settings {
    const char *name;
    const char *handler; /* "MODULE.METHOD"; NULL: the method called NAME, of any module */
    const char *module;  /* of `MODULE_method`; or NULL */
    /* The words after NAME in a MODULE_method, which are arguments of the handler's first
     * directive: as a statement, the first of `block`, whose name only the module knows. NULL when
     * there are no words. */
    struct conf_statement *words;
    uint64_t timeout_ms;        /* 0: handler_timeout */
    uint64_t slow_threshold_ms; /* 0: never slow; SLOW_AS_SERVER */
    int idempotent;             /* enum idempotent */
    int tool;                   /* enum tool */
    int validate;               /* enum validate */
    const char *declares;       /* JSON, in place of what its module declares; NULL: nothing */
    bool found;                 /* it stands for a method of another server's: proxy_all */
    bool declares_lenient;      /* what is wrong with that is left out */
    struct conf_place declares_place;
    struct pool_choice pool;         /* otherwise its module's */
    struct filter_settings *filters; /* in the order written */
    struct conf_place place;         /* of the name */
    struct conf_place
        handler_place; /* of the handler's word, or of MODULE_method, when there is one */
    const struct conf_statement *block; /* includes the handler's own directives */
    struct method_settings *next;
};

/* What modules may do that have not declared it, because they could not; SANDBOX_AUTO: all. */
enum sandbox { SANDBOX_AUTO, SANDBOX_OFF, SANDBOX_ON };

/* Whether clients that have finished sending wait for their replies. */
enum half_close { HALF_CLOSE_AUTO, HALF_CLOSE_OFF, HALF_CLOSE_ON };

#define RESOLVERS_MAX     8u /* name servers */
#define REGISTRY_URLS_MAX 16u
#define REGISTER_WEIGHT   100 /* of an instance that says nothing */
#define REGISTER_MAX      64u /* addresses of one server, in all its server blocks together */

/* `registry etcd URL … { … }` */
struct registry_settings {
    const char *engine;    /* "etcd" */
    struct conf_list urls; /* http://… or https://…, of members */
    const char *prefix;    /* of the keys that this server registers; NULL: it registers none */
    uint64_t ttl_ms;
    uint64_t timeout_ms;       /* of one answer */
    const char *user;          /* NULL: none */
    const char *password_file; /* absolute path, with `user` */
    const char *ca;            /* absolute paths, or NULL */
    const char *cert, *key;
    struct conf_place place;
    const struct conf_statement *block; /* its directives: see settings_registry_place */
};

/* `register ADDRESS [weight=N];` process/preflight.h checks the address. */
struct register_settings {
    const char *address;
    int64_t weight;
    struct conf_place place;
    struct register_settings *next;
};

/* `proxy_all registry:/PATH [{ … }]` */
struct proxy_all_settings {
    const char *service;                /* "registry:/pillion/" */
    const struct conf_statement *block; /* for each method, or NULL */
    const struct method_settings *any;  /* stands for each of them, with that block */
    struct conf_place place;
    struct proxy_all_settings *next;
};

/* `server { … }` */
struct server_settings {
    struct listen_settings *listens;       /* at least one */
    struct register_settings *registers;   /* in the order written */
    struct proxy_all_settings *proxy_alls; /* in the order written */
    struct method_settings *methods;       /* in the order written; names are unique in a server */
    struct filter_settings *filters;       /* of every method, before the method's own */
    uint64_t max_frame;                    /* bytes of a request's body */
    uint64_t max_head;                     /* bytes of the lines before it, where there are any */
    struct conf_list allow_origin;         /* of pages that may send requests of HTTP */
    struct conf_list allow_host; /* names by which a loopback address may be called, too */
    uint64_t max_output;         /* unsent reply bytes at which a client is paused */
    int64_t max_inflight;        /* requests of one connection under way at the same time */
    int64_t max_batch;           /* calls of one batch */
    int64_t json_max_depth;
    int64_t json_max_values;
    int validate;                   /* enum validate */
    uint64_t receive_timeout_ms;    /* 0: never */
    uint64_t send_timeout_ms;       /* 0: never */
    uint64_t least_rate;            /* bytes a second, both ways; 0: any byte is enough */
    uint64_t idle_timeout_ms;       /* 0: never */
    uint64_t slow_threshold_ms;     /* 0: no request is slow */
    uint64_t max_connection_age_ms; /* 0: as old as it likes */
    struct access_settings access;
    struct limit_conn_settings limit_conn;
    int64_t keepalive_requests; /* of one connection; 0: any number */
    struct network_settings proxy_from;
    uint64_t proxy_timeout_ms;
    struct ssl_settings ssl;
    int half_close;         /* enum half_close */
    bool status;            /* GET / and /metrics are answered */
    bool status_calls;      /* the page has forms that call methods */
    int64_t status_streams; /* the page's streams of events, at most */
    bool tcp_keepalive;
    bool tcp_nodelay;
    struct conf_place place;
    struct server_settings *next;
    unsigned index; /* 0, 1, … in the order written */
};

/* `zone NAME SIZE [file=PATH];` */
struct zone_settings {
    const char *name;
    uint64_t size;    /* bytes */
    const char *file; /* absolute, or NULL: it ends with the server */
    struct conf_place place;
    struct zone_settings *next;
};

/* `load_module PATH [pool=NAME] [needs=NEED,…];`, or with a block of the module's directives */
struct module_settings {
    const char *path;                   /* absolute */
    const char *label;                  /* the file's name, for messages: "ping.so" */
    struct pool_choice pool;            /* otherwise the worker's own */
    bool needs_given;                   /* `needs` stands in place of what it declares */
    uint32_t needs;                     /* PILLION_NEEDS_… */
    const struct conf_statement *block; /* the module's own directives, unread so far */
    struct conf_place place;
    struct module_settings *next;
    unsigned index;
};

#define WORKER_PROCESSES_MAX   128
#define VAULT_PROCESSES_MAX    128
#define GATE_PROCESSES_MAX     64
#define QUARANTINE_CRASHES_MAX 100

/* What SIGTERM orders; SIGTERM_AUTO: to quit where the master is process 1. */
enum sigterm { SIGTERM_AUTO, SIGTERM_STOP, SIGTERM_QUIT };

struct settings {
    int64_t worker_processes; /* resolved: `auto` is the number of usable processors */
    int64_t worker_connections;
    int64_t worker_max_requests;          /* of one worker, before another replaces it; 0: any */
    uint64_t worker_max_memory;           /* likewise: bytes of its own; 0: any */
    int64_t vault_processes;              /* 0: as many as the connections need */
    int64_t gate_processes;               /* resolved as worker_processes is */
    int64_t worker_rlimit_nofile;         /* 0: as many as the hard limit allows */
    bool core_limited, core_unlimited;    /* worker_rlimit_core is set; to unlimited */
    uint64_t core_limit;                  /* otherwise: bytes */
    const char *working_directory;        /* absolute path; NULL: the server's */
    struct conf_list worker_cpu_affinity; /* masks as in nginx, or the word auto; empty: off */
    uint64_t arena_size;                  /* 0: auto */
    const char *user;                     /* NULL: the user "nobody" when root; ignored otherwise */
    const char *group;                    /* NULL: the user's */
    struct log_target log;
    const char *pid;     /* absolute path */
    const char *control; /* absolute path of the control socket */
    mode_t control_mode; /* of its file */
    gid_t control_group; /* likewise; (gid_t)-1: as it comes */
    bool strict_modes;   /* files that others may write are refused */
    bool daemon;
    bool pin_modules;
    int sandbox;                      /* enum sandbox */
    struct conf_list sandbox_connect; /* ports of TCP; empty: any */
    struct conf_list sandbox_read;    /* paths that workers may read and run, ... */
    struct conf_list sandbox_write;   /* ... and read and change */
    uint64_t lookup_timeout_ms;       /* all names of `listen` together */
    struct conf_list resolver;     /* name servers, with or without a port; empty: the system's */
    uint64_t resolver_timeout_ms;  /* for one answer of one of them */
    uint64_t load_timeout_ms;      /* probe, and a worker from fork to READY */
    uint64_t handler_timeout_ms;   /* one handler; 0: no watchdog */
    uint64_t heartbeat_timeout_ms; /* no sign of life of a worker or a vault; 0: not asked */
    uint64_t defer_timeout_ms;     /* a deferred request whose module gives no time */
    uint64_t gate_shutdown_timeout_ms; /* 0: off */
    uint64_t drain_timeout_ms;
    uint64_t status_interval_ms; /* between two samples of a stream of events */
    uint64_t quit_delay_ms;      /* before a quit begins: balancers look elsewhere meanwhile */
    int sigterm;                 /* enum sigterm */
    int64_t pool_threads;        /* of each worker, for pillion_offload */
    int64_t pool_queue;          /* calls that wait for one of them */
    int64_t quarantine_crashes;  /* 0: never */
    uint64_t quarantine_window_ms;
    struct registry_settings *registry; /* NULL: there is none */
    uint64_t proxy_all_interval_ms;  /* between reloads for methods that others have registered */
    uint64_t proxy_all_keep_ms;      /* methods stay that nobody offers any more */
    struct pool_settings *pools;     /* in the order written */
    struct zone_settings *zones;     /* in the order written */
    struct module_settings *modules; /* in the order written */
    struct server_settings *servers; /* in the order written */
};

#endif
