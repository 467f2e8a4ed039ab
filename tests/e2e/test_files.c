/* Files and descriptors that are not the server's own: what it is told to write over, what another
 * server has, what its starter left open. */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* `pillion -t`, and a start, fail with `says`. */
static void expect_refused(struct server *server, const char *says)
{
    struct run run = pillion("-t", "-p", server->prefix);

    expect_status(&run, 1);
    expect_part(run.err, says);
    server_spawn(server, (const char *const[]){NULL});
    int status = server_wait_exit(server, PATIENCE_MS);
    ck_assert_int_ne(status, 0);
    expect_part(server_log(server), says);
}

/* ---- slips ---- */

START_TEST(a_slip_in_the_configuration_spoils_no_file)
{
    static const struct {
        const char *statement, *file, *says;
    } rows[] = {
        {"control data.db;", "data.db", "conf/pillion.conf:1:9: the control socket, \"control\", "},
        {"pid conf/pillion.conf;", "conf/pillion.conf", "is the configuration"},
        {"pid data.db;", "data.db", "holds something else than the number of a process"},
        {"pid link;", "data.db", "is a symbolic link"},
        {"error_log modules/ping.so;", "modules/ping.so", "is a module, which would be spoiled"},
        {"error_log modules/hello.so;", "modules/hello.so", "is no log but some other file"},
        {"error_log conf/pillion.conf;", "conf/pillion.conf", "is the configuration"},
        {"error_log run/x; pid run/x;", "data.db", "is the log (\"error_log\") already"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct server *server = server_new();
        char *path = server_path(server, rows[i].file);
        size_t size, left;

        server_write(server, "data.db", "precious");
        ck_assert_int_eq(symlink("data.db", server_path(server, "link")), 0);
        server_write(server, "conf/pillion.conf",
                     "%s load_module modules/ping.so; server { listen 127.0.0.1:%d; method ping; }",
                     rows[i].statement, server->port);
        char *before = file_read(path, &size);
        expect_refused(server, rows[i].says);
        char *after = file_read(path, &left);
        ck_assert_msg(size == left && memcmp(before, after, size) == 0, "%s was changed by \"%s\"",
                      rows[i].file, rows[i].statement);
    }
}
END_TEST

E2E_MAIN("files", a_slip_in_the_configuration_spoils_no_file)
