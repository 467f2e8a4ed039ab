/* The core's own directives: one table. See settings_table.h.
 *
 * A directive is added here, with its member in settings.h, and nowhere else; one that needs more
 * than a type has a setter in setters.c. */
#include "conf/settings_table.h"

#include "conf/directive.h"
#include "conf/setters.h"

#define DAY_MS 86400000

/* ---- the table ---- */

static const char *const word_auto[] = {"auto", NULL};
static const char *const words_auto[] = {"auto", "off", "on", NULL};
static const char *const words_declared[] = {"declared", "off", "on", NULL};
static const char *const words_validate[] = {"default", "off", "params", "all", NULL};
static const char *const word_off[] = {"off", NULL};

#define MAIN(member) .contexts = CONF_IN_MAIN, .offset = offsetof(struct settings, member)
#define SERVER(member) \
    .contexts = CONF_IN_SERVER, .offset = offsetof(struct server_settings, member)
#define METHOD(member) \
    .contexts = CONF_IN_METHOD, .offset = offsetof(struct method_settings, member)

/* In the order of the documentation: the directives that are used most come first. */
const struct conf_directive settings_directives[] = {
    {.name = "load_module",
     MAIN(modules),
     .type = CONF_CUSTOM,
     .set = settings_set_load_module,
     .repeats = true,
     .block = true,
     .syntax = "PATH [pool=NAME] [{ … }]",
     .summary = "Loads a module: a shared object that provides methods. The threads of the `pool` "
                "of that name do its work that blocks. The block holds the "
                "module's own directives, which its documentation lists. Loading a module makes "
                "its methods available; `method` makes one callable."},
    {.name = "server",
     MAIN(servers),
     .type = CONF_CUSTOM,
     .set = settings_set_server,
     .repeats = true,
     .block = true,
     .syntax = "{ … }",
     .summary = "One set of addresses with the methods and limits that hold there. There must be "
                "at least one `server`; several let you, for example, offer `rpc.stats` on a "
                "local socket only."},
    {.name = "worker_processes",
     MAIN(worker_processes),
     .type = CONF_INTEGER,
     .words = word_auto,
     .min = 1,
     .max = WORKER_PROCESSES_MAX,
     .fallback = "auto",
     .summary = "How many workers serve clients. Each is one process with one thread; `auto` is "
                "one for each processor that the server may use (sched_getaffinity(2)). More "
                "than that only helps handlers that block."},
    {.name = "worker_connections",
     MAIN(worker_connections),
     .type = CONF_INTEGER,
     .min = 1,
     .max = 1000000,
     .fallback = "20000",
     .summary = "How many connections each worker holds at most. A worker that is full leaves "
                "new connections in the listen queue, for others or for later. Each connection "
                "takes a descriptor: see `worker_rlimit_nofile`."},
    {.name = "vault_processes",
     MAIN(vault_processes),
     .type = CONF_INTEGER,
     .words = word_auto,
     .min = 1,
     .max = VAULT_PROCESSES_MAX,
     .fallback = "auto",
     .summary = "How many vaults hold the duplicates of the clients' sockets, so that no end "
                "of a worker costs a connection. Each can hold nearly as many as one process "
                "may have descriptors; `auto` is as many vaults as `worker_processes` times "
                "`worker_connections` need. Connections that no vault can hold are not "
                "accepted. After a reload with fewer, a vault that is not needed any more ends "
                "when it is empty. docs/scale.md has the arithmetic."},
    {.name = "worker_rlimit_nofile",
     MAIN(worker_rlimit_nofile),
     .type = CONF_INTEGER,
     .min = 64,
     .max = 1073741824,
     .summary = "The limit on open descriptors for each worker (RLIMIT_NOFILE, setrlimit(2)). It "
                "should exceed `worker_connections` by 100 or so; only root can go beyond the "
                "hard limit. Without it, workers take all that the hard limit allows. Vaults take "
                "the hard limit, or this when it is higher."},
    {.name = "worker_rlimit_core",
     MAIN(core_limit),
     .type = CONF_CUSTOM,
     .set = settings_set_rlimit_core,
     .syntax = "SIZE | unlimited",
     .summary = "How large a core dump of a worker may be (RLIMIT_CORE, setrlimit(2)); 0 keeps "
                "them from being written. Only root can go beyond the hard limit. Without it, "
                "the limit is that of the process that started the server. The log says where "
                "a dump is, or that it could not be written."},
    {.name = "working_directory",
     MAIN(working_directory),
     .type = CONF_PATH,
     .summary = "The directory in which workers run, and in which the kernel writes their core "
                "dumps (core(5)): their user has to be allowed to write there. Without it, it is "
                "the directory in which the server was started."},
    {.name = "worker_cpu_affinity",
     MAIN(worker_cpu_affinity),
     .type = CONF_LIST,
     .syntax = "auto | MASK …",
     .summary =
         "Binds workers to processors (sched_setaffinity(2)). A mask is written in binary, "
         "the lowest processor last: `worker_cpu_affinity 01 10;` puts the first worker on "
         "processor 0 and the second on processor 1; the last mask serves all further "
         "workers. `auto` gives each worker one of the usable processors in turn. Without it "
         "the kernel decides, which is right for most machines."},
    {.name = "arena_size",
     MAIN(arena_size),
     .type = CONF_SIZE,
     .words = word_auto,
     .min = 1 << 20,
     .max = (int64_t)64 << 30,
     .fallback = "auto",
     .summary = "The size of each worker's arena: the shared memory for the records and buffers "
                "of its connections. It is a limit and not a cost: pages are taken as they are "
                "first used. `auto` is 1g, or as much more as a large `max_frame` needs. When it "
                "is full, reading pauses, the log says so, and no client is dropped."},
    {.name = "user",
     MAIN(user),
     .type = CONF_CUSTOM,
     .set = settings_set_user,
     .syntax = "NAME [GROUP]",
     .summary = "The user, and group, that workers become when the server is started as root; "
                "otherwise it is ignored. Without it they become `nobody`; without a group, the "
                "user's own group is taken."},
    {.name = "error_log",
     MAIN(log),
     .type = CONF_CUSTOM,
     .set = settings_set_error_log,
     .fallback = "stderr info text",
     .syntax = "TARGET [LEVEL] [text | json]",
     .summary = "Where the log goes, from which level on, and in which form. The target is "
                "`stderr`, `syslog`, `syslog:FACILITY` (`daemon`, `user`, `auth`, or `local0` to "
                "`local7`) or a file's path. Levels, from few lines to many: `error`, `warn`, "
                "`notice`, `info`, `debug`. `json` writes one JSON object a line. A file is opened "
                "anew by `pillion -s reopen`, after it was moved away. Logging never waits for "
                "the reader of a pipe, FIFO, terminal or syslog: lines that do not fit are "
                "dropped, counted (`log_lines_lost` of rpc.stats), and the log says how many are "
                "missing as soon as it can. Root follows no symbolic link in the file's place "
                "that is not root's."},
    {.name = "pid",
     MAIN(pid),
     .type = CONF_PATH,
     .fallback = "run/pillion.pid",
     .summary = "The file that holds the master's process id while the server runs."},
    {.name = "control",
     MAIN(control),
     .type = CONF_PATH,
     .fallback = "run/pillion.control",
     .summary = "The master's control socket: `pillion -s` asks through it and waits for the "
                "answer. The absolute path has at most 107 bytes (unix(7))."},
    {.name = "daemon",
     MAIN(daemon),
     .type = CONF_FLAG,
     .fallback = "off",
     .summary = "Whether the server detaches from the terminal. Leave it off under a service "
                "manager or in a container. With `on`, send `error_log` to a file or to syslog."},
    {.name = "pin_modules",
     MAIN(pin_modules),
     .type = CONF_FLAG,
     .fallback = "on",
     .summary = "Whether workers load sealed copies of the modules, made when the configuration "
                "was read, so that all workers run the same bytes and a file may be overwritten "
                "at any time. With `off` they load the files themselves, so that debuggers and "
                "profilers find symbols; then never write over a module in use, as `cp` does: "
                "put the new one in its place with `mv` or `install`."},
    {.name = "lookup_timeout",
     MAIN(lookup_timeout_ms),
     .type = CONF_TIME,
     .min = 100,
     .max = 60000,
     .fallback = "3s",
     .summary = "How long it may take to look up the host names of `listen`, all together. When it "
                "is over, the start or the reload fails, and the old configuration serves on. "
                "While a reload waits for names, workers serve, and one that dies is replaced "
                "only afterwards."},
    {.name = "load_timeout",
     MAIN(load_timeout_ms),
     .type = CONF_TIME,
     .min = 100,
     .max = 600000,
     .fallback = "10s",
     .summary = "How long the trial of a configuration, and then the start of each worker, may "
                "take. A module that hangs while it is loaded fails the start or the reload after "
                "that time, and the old configuration serves on."},
    {.name = "handler_timeout",
     MAIN(handler_timeout_ms),
     .type = CONF_TIME,
     .words = word_off,
     .min = 10,
     .max = DAY_MS,
     .fallback = "10s",
     .summary = "How long one call of a handler may keep its worker. A worker that is stuck for "
                "longer is ended and replaced. `off` waits forever. A method's own `timeout` goes "
                "before it."},
    {.name = "heartbeat_timeout",
     MAIN(heartbeat_timeout_ms),
     .type = CONF_TIME,
     .words = word_off,
     .min = 100,
     .max = DAY_MS,
     .fallback = "5s",
     .summary = "How long a worker or the vault may give no sign of life before it is taken "
                "for dead, ended and replaced: because it was stopped by a signal, say, or "
                "waits for something that never comes. Only time counts in which the server "
                "itself ran, and a process that waits for a processor or a disk, or is in a "
                "handler, is not silent. Five times in that time, listeners that a module has "
                "broken are mended, too. `off` never asks and mends: for debuggers, which stop "
                "the process that they look at."},
    {.name = "defer_timeout",
     MAIN(defer_timeout_ms),
     .type = CONF_TIME,
     .min = 10,
     .max = DAY_MS,
     .fallback = "60s",
     .summary = "How long a request whose handler waits for something (pillion_defer) may wait "
                "when its module does not say. It is then answered `timeout`; the worker goes "
                "on."},
    {.name = "drain_timeout",
     MAIN(drain_timeout_ms),
     .type = CONF_TIME,
     .min = 0,
     .max = DAY_MS,
     .fallback = "30s",
     .summary = "How long a worker that is asked to go (`pillion -s quit`, or a reload) may take "
                "to finish the requests under way. At a reload, requests that still wait then are "
                "answered `timeout`; their connections go on."},
    {.name = "pool_threads",
     MAIN(pool_threads),
     .type = CONF_INTEGER,
     .min = 1,
     .max = 1024,
     .fallback = "8",
     .summary = "How many threads a worker may have for methods that call blocking functions "
                "(pillion_offload). They start when they are first needed."},
    {.name = "pool_queue",
     MAIN(pool_queue),
     .type = CONF_INTEGER,
     .min = 0,
     .max = 1000000,
     .fallback = "1000",
     .summary = "How many calls may wait for one of the `pool_threads`. Beyond that they are "
                "answered `overloaded` at once."},
    {.name = "pool",
     MAIN(pools),
     .type = CONF_CUSTOM,
     .set = settings_set_pool,
     .repeats = true,
     .syntax = "NAME threads=N [queue=N]",
     .summary = "Threads of their own, for the modules and methods that name them (`load_module "
                "PATH pool=NAME`, or `pool` in a method), so that work of one module does not "
                "wait for another's. 1 to 1024 of them in each worker, and up to 1000000 calls "
                "(1000 by default) that wait for one."},
    {.name = "zone",
     MAIN(zones),
     .type = CONF_CUSTOM,
     .set = settings_set_zone,
     .repeats = true,
     .syntax = "NAME SIZE [file=PATH]",
     .summary = "Memory that the modules of all workers share, 64k to 64g: for limits, "
                "counters, caches. It keeps what it holds over reloads and upgrades, as long "
                "as name and size stay; the entry that was used longest ago makes room for a "
                "new one. A megabyte holds about four thousand entries of up to 216 bytes, key "
                "and value; a larger one, up to an eighth of the zone, takes the room of several. "
                "With `file=PATH`, relative to the prefix, it keeps them over a stop, a kill and a "
                "restart of the machine too: the file is made with SIZE bytes and a page, readable "
                "by the server's user alone, and no other server can use it meanwhile."},
    {.name = "worker_max_requests",
     MAIN(worker_max_requests),
     .type = CONF_INTEGER,
     .min = 0,
     .max = INT64_MAX,
     .fallback = "0",
     .summary = "How many requests a worker has, about, before another takes its place, as in a "
                "reload: no client notices. For modules that leak. It is looked at once a second. "
                "0: any number."},
    {.name = "worker_max_memory",
     MAIN(worker_max_memory),
     .type = CONF_SIZE,
     .min = 0,
     .max = INT64_MAX,
     .fallback = "0",
     .summary = "How much memory of its own a worker may have before another takes its place: "
                "`private_bytes` of `rpc.stats`, in which the arena and zones do not count. A "
                "worker that has as much when it starts says so, and goes on. 0: any amount."},
    {.name = "quarantine_crashes",
     MAIN(quarantine_crashes),
     .type = CONF_INTEGER,
     .words = word_off,
     .min = 1,
     .max = QUARANTINE_CRASHES_MAX,
     .fallback = "5",
     .summary = "How often a method may end its worker, by a crash or by `handler_timeout`, within "
                "`quarantine_window` before it is taken out of service. Its calls are then "
                "answered `method_quarantined` until the next reload; all other methods go on. "
                "`off` never does that."},
    {.name = "quarantine_window",
     MAIN(quarantine_window_ms),
     .type = CONF_TIME,
     .min = 100,
     .max = DAY_MS,
     .fallback = "10s",
     .summary = "The time in which `quarantine_crashes` are counted."},
    {.name = "listen",
     SERVER(listens),
     .type = CONF_CUSTOM,
     .set = settings_set_listen,
     .repeats = true,
     .required = true,
     .syntax = "ADDRESS [protocol=P] [backlog=N] [reuseport] [proxy_protocol] [mode=N] "
               "[group=G]",
     .summary = "An address to serve: `127.0.0.1:8080`, `[::1]:8080`, `*:8080` or `8080` for every "
                "IPv4 address, `[::]:8080` for every IPv6 address, `localhost:8080` for every "
                "address of a host name that this machine has, or `unix:PATH` for a Unix socket. "
                "Names are looked up when the configuration is read, and anew at each reload. "
                "A reload that removes an address ends no connection: its server block goes on "
                "with them. "
                "`protocol` is what the address's clients speak: `frame`, `line` for lines of "
                "JSON, `lsp` for messages with a `Content-Length` as editors send them, or `http` "
                "(protocols.md). `auto`, the default, tells it by the first four bytes of each "
                "connection. "
                "`backlog` is the length of the "
                "queue of connections not yet accepted, 4096 unless given, and bounded by the "
                "system's net.core.somaxconn. `reuseport` gives each worker a queue of its own "
                "(SO_REUSEPORT, socket(7)), which spreads many short connections better. "
                "With `proxy_protocol` each connection begins with a PROXY header, of version 1 or "
                "2, by which a balancer (`proxy_from`) says who the client is: logs, limits and "
                "filters see that address. A reload that adds or removes it holds for new "
                "connections. `mode` is who may connect to a Unix socket, as the rights of its "
                "file in octal digits: `0666`, everybody who reaches its directory, unless given. "
                "`group` is the group of its file; only root may give it a group that the server's "
                "user is not in. A reload changes both."},
    {.name = "proxy_from",
     SERVER(proxy_from),
     .type = CONF_CUSTOM,
     .set = settings_set_proxy_from,
     .repeats = true,
     .syntax = "NETWORK …",
     .summary =
         "The balancers, for `listen … proxy_protocol`: `10.0.0.0/8`, `2001:db8::/32`, "
         "`192.0.2.1`. Other connections are closed, because their header could name any "
         "client. Of TCP addresses the list is required; at a Unix socket, file modes decide."},
    {.name = "proxy_timeout",
     SERVER(proxy_timeout_ms),
     .type = CONF_TIME,
     .min = 100,
     .max = DAY_MS,
     .fallback = "3s",
     .summary = "How long the PROXY header may take, where `listen` has `proxy_protocol`. A "
                "connection without a whole one by then is closed, within a second."},
    {.name = "method",
     SERVER(methods),
     .type = CONF_CUSTOM,
     .set = settings_set_method,
     .repeats = true,
     .block = true,
     .syntax = "NAME [{ … }]",
     .summary = "Lets clients of this server call a method. `method ping;` enables the method "
                "that a loaded module provides under that name. With a `handler` in its block "
                "the method gets a name of your own: 1 to 255 bytes of printable UTF-8, in "
                "quotes if need be. Methods that are not enabled cannot be called. There may "
                "be 1022 methods of different names, in all server blocks together."},
    {.name = CONF_ANY_MODULE "_method",
     SERVER(methods),
     .type = CONF_CUSTOM,
     .set = settings_set_module_method,
     .repeats = true,
     .block = true,
     .any_module = true,
     .syntax = "NAME [WORD …] [{ … }]",
     .summary = "A method in a line, for modules that make methods in the configuration: "
                "`redis_method kv.get GET $key;` is `method kv.get { handler redis.command; "
                "command GET $key; }`. The handler is the module's first that has directives of "
                "its own, and the words are the arguments of the first of those. A block may give "
                "the others, and all that the block of `method` takes but `handler`."},
    {.name = "filter",
     SERVER(filters),
     .type = CONF_CUSTOM,
     .set = settings_set_filter,
     .repeats = true,
     .block = true,
     .syntax = "NAME [{ … }]",
     .summary =
         "Has a loaded module's filter see every request of this server before its method "
         "does, and again once it is answered: to authenticate, to limit, to log. Filters run "
         "in the order written. The block holds the filter's own directives."},
    {.name = "max_frame",
     SERVER(max_frame),
     .type = CONF_SIZE,
     .min = 64,
     .max = 128 << 20,
     .fallback = "1m",
     .summary = "The largest request, not counting the four bytes of its frame's length or the "
                "lines before its body, that is taken from a client. A client that announces a "
                "longer one gets "
                "`frame_too_large` and is disconnected. Announcing costs no memory: only bytes "
                "that arrive do."},
    {.name = "max_head",
     SERVER(max_head),
     .type = CONF_SIZE,
     .min = 256,
     .max = 1 << 20,
     .fallback = "16k",
     .summary = "The most bytes of the lines before a request's body, with protocols that have "
                "such lines. A client that sends more is told so and disconnected."},
    {.name = "allow_origin",
     SERVER(allow_origin),
     .type = CONF_LIST,
     .syntax = "ORIGIN …",
     .summary = "The origins of web pages that may call this server's methods from a browser, such "
                "as `https://app.example.com`, or `*` for all. Pages that come from this server's "
                "own address always may. A page of any other origin gets `403 Forbidden`, whatever "
                "it calls. Requests that no page has sent have no origin, and are not concerned."},
    {.name = "allow_host",
     SERVER(allow_host),
     .type = CONF_LIST,
     .syntax = "NAME …",
     .summary = "More names, without a port, that requests of HTTP may give as their host where "
                "the server listens on a loopback address; `*` for all. Without it only names of "
                "this machine alone are taken there (`localhost`, `127.0.0.1`), because the author "
                "of a web page can have any other name mean 127.0.0.1. Needed behind a proxy on "
                "the same machine that passes its clients' `Host` on."},
    {.name = "max_output",
     SERVER(max_output),
     .type = CONF_SIZE,
     .min = 4096,
     .max = 1 << 30,
     .fallback = "1m",
     .summary = "How many bytes of replies may wait for a client that does not read them. Beyond "
                "that its requests are left unread until it does."},
    {.name = "max_inflight",
     SERVER(max_inflight),
     .type = CONF_INTEGER,
     .min = 1,
     .max = 255,
     .fallback = "64",
     .summary = "How many requests of one connection may be under way at the same time, when "
                "handlers wait for something. Further ones are left unread until there are "
                "fewer. None begins, either, when 255 have since the oldest that waits."},
    {.name = "max_batch",
     SERVER(max_batch),
     .type = CONF_INTEGER,
     .min = 1,
     .max = 1000000,
     .fallback = "100",
     .summary = "How many calls a batch of JSON-RPC may have. A larger one is answered with one "
                "error, -32600, and none of its calls is run."},
    {.name = "json_max_depth",
     SERVER(json_max_depth),
     .type = CONF_INTEGER,
     .min = 1,
     .max = 512,
     .fallback = "64",
     .summary = "How deep arrays and objects may be nested in a request. A request beyond that "
                "is answered `parse_error`."},
    {.name = "json_max_values",
     SERVER(json_max_values),
     .type = CONF_INTEGER,
     .min = 1,
     .max = (int64_t)1 << 31,
     .fallback = "100000",
     .summary = "How many JSON values a request may hold. It bounds the memory of handlers that "
                "take their params as a tree: about 64 bytes for each value. A request beyond "
                "that is answered `parse_error`."},
    {.name = "validate",
     SERVER(validate),
     .type = CONF_ENUM,
     .words = words_validate,
     .fallback = "default",
     .summary =
         "What is enforced of the schemas that methods declare as text: their `params`, "
         "which is the default, `all`, or nothing (`off`). Params that break their schema "
         "are answered `invalid_params`, with what was wanted where; the method does not "
         "run. A result that breaks its own is a mistake of the module: with `all` the log "
         "has it, and the client gets `internal_error` in its place. `pillion try` and unit "
         "tests check both. Modules that were built for a module API before 1.5 have declared "
         "theirs when nothing was enforced: of these it is only what `validate` says. Params "
         "by table are read in any case. A method's own `validate` goes before it."},
    {.name = "receive_timeout",
     SERVER(receive_timeout_ms),
     .type = CONF_TIME,
     .words = word_off,
     .min = 100,
     .max = (int64_t)365 * DAY_MS,
     .fallback = "60s",
     .summary = "How long a message may take to arrive once its first byte is there, and a second "
                "more for each 16 KiB of it that have come. A client that stops in the middle, or "
                "sends more slowly, is answered `request_timeout` (`408 Request Timeout` over "
                "HTTP), within a second, and its connection ends. Time in which the server does "
                "not read does not count, and a connection that waits between messages is not "
                "concerned."},
    {.name = "idle_timeout",
     SERVER(idle_timeout_ms),
     .type = CONF_TIME,
     .words = word_off,
     .min = 100,
     .max = (int64_t)365 * DAY_MS,
     .fallback = "off",
     .summary = "How long a connection may be silent before it is closed. The protocol has no "
                "way to say so beforehand: a client may be sending a request in that very "
                "moment. That is why it is off; `tcp_keepalive` finds clients that are gone."},
    {.name = "max_connection_age",
     SERVER(max_connection_age_ms),
     .type = CONF_TIME,
     .words = word_off,
     .min = 1000,
     .max = (int64_t)365 * DAY_MS,
     .fallback = "off",
     .summary = "How long a client may keep its connection, give or take a tenth, so that clients "
                "which came at once do not come again at once. A connection that is older ends as "
                "soon as it has nothing under way and nothing unread: all replies are sent, and "
                "behind them the client sees the end. A request that crosses the end on its way "
                "is not begun, and gets no reply: the client sends it again on its next "
                "connection. Over HTTP, responses in the last eighth of the time say "
                "`Connection: close`, and the connection ends with them. The age counts from the "
                "client's arrival, also over reloads, "
                "crashes and upgrades; for clients that were there before the directive, from "
                "the reload that brought it. Behind a balancer it spreads long-lived connections "
                "over new servers."},
    {.name = "half_close",
     SERVER(half_close),
     .type = CONF_ENUM,
     .words = words_auto,
     .fallback = "auto",
     .summary = "Whether a client that has finished sending (shutdown(2) with SHUT_WR, `nc -N`) "
                "still waits for its replies. One that has closed its connection sends the same: "
                "only a reply would tell. With `off` both are gone, and requests of theirs that "
                "wait for something are cancelled at once. With `on` their replies are waited for; "
                "that a client has closed is found out within about a minute, by probes of the "
                "kernel (`tcp_keepalive`). `auto`: `off` for clients of HTTP, as nginx and others "
                "have it, and `on` for all others. Requests that are answered at once are answered "
                "in any case."},
    {.name = "tcp_keepalive",
     SERVER(tcp_keepalive),
     .type = CONF_FLAG,
     .fallback = "on",
     .summary = "Whether the kernel probes connections that are silent for long (SO_KEEPALIVE, "
                "tcp(7)), so that those of clients that have vanished end."},
    {.name = "tcp_nodelay",
     SERVER(tcp_nodelay),
     .type = CONF_FLAG,
     .fallback = "on",
     .summary = "Whether replies go out at once (TCP_NODELAY, tcp(7)). With `off` the kernel may "
                "hold a small reply back until the client has acknowledged the one before, which "
                "can take 40 ms."},
    {.name = "status",
     SERVER(status),
     .type = CONF_FLAG,
     .fallback = "off",
     .summary = "Whether `GET /metrics` is answered, with the numbers of the whole server in the "
                "text format of Prometheus. The server's filters see the request, as `metrics`. "
                "Give it an address of its own that clients do not reach."},
    {.name = "handler",
     METHOD(handler),
     .type = CONF_CUSTOM,
     .set = settings_set_handler,
     .syntax = "MODULE.METHOD",
     .summary = "Which module's method answers. Without it, it is the one of that name, whatever "
                "module provides it."},
    {.name = "timeout",
     METHOD(timeout_ms),
     .type = CONF_TIME,
     .min = 10,
     .max = DAY_MS,
     .summary = "How long one call of this method may keep its worker. Without it, "
                "`handler_timeout` holds."},
    {.name = "idempotent",
     METHOD(idempotent),
     .type = CONF_ENUM,
     .words = words_declared,
     .fallback = "declared",
     .summary = "Whether running a request of this method twice does no harm. One that waits for "
                "something when its worker crashes is then run once more, instead of being "
                "answered `module_crashed`; and `proxy` may ask another server. `declared`: as "
                "its module says."},
    {.name = "pool",
     METHOD(pool),
     .type = CONF_CUSTOM,
     .set = settings_set_method_pool,
     .syntax = "NAME",
     .summary = "The pool whose threads do this method's work that blocks. Without it, the one of "
                "its module."},
    {.name = "tool",
     METHOD(tool),
     .type = CONF_ENUM,
     .words = words_declared,
     .fallback = "declared",
     .summary = "Whether agents are offered this method as a tool of MCP, at `POST /mcp`. "
                "`declared`: when its module declares params that are an object. With `on` it "
                "is one in any case; without such params the tool takes any object. A name "
                "that no tool may have (other bytes than letters, digits, `_`, `.` and `-`, or "
                "more than 128 of them) is never one."},
    {.name = "validate",
     METHOD(validate),
     .type = CONF_ENUM,
     .words = words_validate,
     .fallback = "default",
     .summary =
         "What is enforced of the schemas that this method declares as text: `off`, `params` "
         "or `all`. `default`: what `validate` of the server says."},
    {.name = "filter",
     METHOD(filters),
     .type = CONF_CUSTOM,
     .set = settings_set_filter,
     .repeats = true,
     .block = true,
     .syntax = "NAME [{ … }]",
     .summary = "A filter for this method alone, after those of its server."},
    {0},
};
