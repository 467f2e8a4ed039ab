/* A real dnsmasq for end-to-end tests, which ends with the test. It answers from its configuration
 * alone, at a port of 127.0.0.2. */
#ifndef PILLION_TESTS_DNS_SERVER_H
#define PILLION_TESTS_DNS_SERVER_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

#define DNS_HOST "127.0.0.2"

struct dns {
    const struct server *server; /* in whose prefix its files are */
    const char *host;            /* NULL: DNS_HOST */
    int port;
    pid_t pid;
};

static inline const char *dns_path(void)
{
    static const char *const paths[] = {"/usr/sbin/dnsmasq", "/usr/local/sbin/dnsmasq"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    }
    fail_test("there is no %s: make deps-test", paths[0]);
}

static inline void dns_end(struct dns *dns)
{
    daemon_end(dns->pid);
    dns->pid = 0;
}

/* Starts it, or starts it anew, with these lines of a configuration, and waits until it answers.
 * `zone` is a domain that it answers for with authority: other names in it do not exist. */
static inline void dns_serve(struct dns *dns, const char *zone, const char *conf)
{
    if (dns->pid != 0)
        dns_end(dns);
    server_write(dns->server, "dnsmasq.conf",
                 "no-resolv\nno-hosts\nno-daemon\nport=%d\nlisten-address=%s\n"
                 "bind-interfaces\npid-file=\nlog-facility=-\nlog-queries\nlocal=/%s/\n%s\n",
                 dns->port, dns->host == NULL ? DNS_HOST : dns->host, zone, conf);
    const char *log = server_path(dns->server, "dnsmasq.log");
    dns->pid = daemon_start(
        (const char *const[]){
            dns_path(), keep_printf("--conf-file=%s", server_path(dns->server, "dnsmasq.conf")),
            keep_printf("--user=%s", getuid() == 0 ? "root" : ""), NULL},
        log);
    wait_until(strstr(file_read(log, NULL), "started") != NULL, "dnsmasq does not start: %s",
               file_read(log, NULL));
}

/* How many questions of this kind ("query[SRV]") it was asked since it was started. */
static inline unsigned dns_asked(const struct dns *dns, const char *kind)
{
    unsigned count = 0;

    for (const char *at = file_read(server_path(dns->server, "dnsmasq.log"), NULL);
         (at = strstr(at, kind)) != NULL; at++)
        count++;
    return count;
}

#endif
