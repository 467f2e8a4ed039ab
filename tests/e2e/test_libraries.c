/* Libraries that lie beside a module, which looks for them by $ORIGIN. */
#include "harness.h"

#include <signal.h>
#include <stdlib.h>

static void shell_in(const struct server *server, const char *command)
{
    struct run run = run_command(
        (const char *const[]){"/bin/sh", "-c",
                              keep_printf("cd %s/modules && %s", server->prefix, command), NULL},
        NULL, PATIENCE_MS);
    expect_status(&run, 0);
}

static void compile(const struct server *server, const char *arguments)
{
    shell_in(server, keep_printf("cc -shared -fPIC %s", arguments));
}

/* How a module and its libraries may be linked: each finds its name by way of `near`. */
static const struct {
    const char *deep, *near, *far;
} links[] = {
    /* Each knows its own. */
    {"-Wl,-soname,libdeep.so.1 -o lib/libdeep.so.1 deep.c",
     "-Wl,-soname,libnear.so.1 -Wl,-rpath,'$ORIGIN' -o lib/libnear.so.1 near.c lib/libdeep.so.1",
     "-Wl,-rpath,'/nowhere:${ORIGIN}/lib' -o far.so far.c lib/libnear.so.1"},
    /* Without names of their own. */
    {"-o lib/libdeep.so deep.c", "-Wl,-rpath,'$ORIGIN' -o lib/libnear.so near.c -Llib -ldeep",
     "-Wl,-rpath,'$ORIGIN/lib' -o far.so far.c -Llib -lnear"},
    /* The module has a path for all of them. */
    {"-o lib/libdeep.so deep.c", "-o lib/libnear.so near.c -Llib -ldeep",
     "-Wl,--disable-new-dtags -Wl,-rpath,'$ORIGIN/lib' -Wl,-rpath-link,lib -o far.so far.c -Llib "
     "-lnear"},
    /* The module needs both, and one of them does not say that it needs the other. */
    {"-o lib/libdeep.so deep.c", "-o lib/libnear.so near.c",
     "-Wl,--no-as-needed -Wl,-rpath,'$ORIGIN/lib' -o far.so far.c -Llib -lnear -ldeep"},
    /* The library calls its module. */
    {"-o lib/libdeep.so deep.c", "-Ddeep=far_name -o lib/libnear.so near.c",
     "-Wl,-rpath,'$ORIGIN/lib' -o far.so far.c -Llib -lnear"},
};

/* The server and `pillion try`, with the module sealed and as it is, in a folder of this name. */
static void expect_libraries_found(struct server *server, const char *folder)
{
    const char *file = server_path(server, keep_printf("%s/far.so", folder));
    struct run run = pillion("try", file, "far");

    expect_status(&run, 0);
    ck_assert_str_eq(run.out, "\"deep\"\n");
    for (int pinned = 0; pinned < 2; pinned++) {
        server_conf(server,
                    keep_printf("pin_modules %s; load_module \"%s/far.so\";", pinned ? "on" : "off",
                                folder),
                    "method far;");
        run = pillion("-t", "-p", server->prefix);
        expect_status(&run, 0);
        server_start(server);
        int client = client_connect(server);
        client_send_frame(client, "{\"in\":\"far\"}");
        client_expect(client, "{\"out\":\"far\",\"result\":\"deep\"}");
        server_signal(server, SIGQUIT);
        ck_assert_int_eq(server_wait_exit(server, PATIENCE_MS), 0);
    }
}

/* A sealed copy lies in no folder of its own; what is found must not depend on that. */
START_TEST(libraries_beside_a_module_are_found)
{
    const char *header = keep(realpath("core/include", NULL)); /* tests run in the source tree */
    struct server *server = server_new();

    ck_assert_ptr_nonnull(header);
    server_write(server, "modules/deep.c", "const char *deep(void) { return \"deep\"; }\n");
    server_write(server, "modules/near.c",
                 "const char *deep(void); const char *near(void) { return deep(); }\n");
    server_write(
        server, "modules/far.c",
        "#include <pillion/module.h>\n"
        "const char *near(void);\n"
        "const char *far_name(void) { return \"deep\"; }\n"
        "static void far(pillion_request *req)\n"
        "{ pillion_reply(req, \"far\", cJSON_CreateString(near())); }\n"
        "static const pillion_method methods[] = {{.name = \"far\", .handler = far}, {0}};\n"
        "PILLION_MODULE(.name = \"far\", .version = \"1\", .methods = methods);\n");
    for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
        shell_in(server, "rm -rf lib && mkdir lib");
        compile(server, links[i].deep);
        compile(server, links[i].near);
        compile(server, keep_printf("-I%s %s", header, links[i].far));
        expect_libraries_found(server, "modules");
    }
    shell_in(server, "mkdir ../a:b && cp -r far.so lib ../a:b");
    expect_libraries_found(server, "a:b");
}
END_TEST

START_TEST(a_library_that_is_missing_beside_a_module_is_named)
{
    const char *header = keep(realpath("core/include", NULL));
    struct server *server = server_new();

    server_write(server, "modules/near.c", "const char *near(void) { return \"near\"; }\n");
    server_write(server, "modules/far.c",
                 "#include <pillion/module.h>\n"
                 "const char *near(void);\n"
                 "static void far(pillion_request *req)\n"
                 "{ pillion_reply(req, \"far\", cJSON_CreateString(near())); }\n"
                 "static const pillion_method methods[] = {{.name = \"far\", .handler = far}, "
                 "{0}};\n"
                 "PILLION_MODULE(.name = \"far\", .version = \"1\", .methods = methods);\n");
    compile(server, "-o libnear.so near.c");
    compile(server, keep_printf("-I%s -Wl,-rpath,'$ORIGIN' -o far.so far.c -L. -lnear", header));
    struct run run = pillion("modinfo", server_path(server, "modules/far.so"));
    expect_part(run.out, "needs:      libnear.so");
    expect_part(run.out, "looks in:   $ORIGIN\n");
    shell_in(server, "rm libnear.so");
    for (int pinned = 0; pinned < 2; pinned++) {
        server_conf(
            server,
            keep_printf("pin_modules %s; load_module modules/far.so;", pinned ? "on" : "off"),
            "method far;");
        run = pillion("-t", "-p", server->prefix);
        expect_status(&run, 1);
        expect_part(run.err, "far.so: libnear.so: cannot open shared object file");
    }
    run = pillion("try", server_path(server, "modules/far.so"), "far");
    expect_status(&run, 64);
    expect_part(run.err, "far.so: libnear.so: cannot open shared object file");
}
END_TEST

E2E_MAIN("libraries", libraries_beside_a_module_are_found,
         a_library_that_is_missing_beside_a_module_is_named)
