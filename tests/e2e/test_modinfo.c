/* `pillion modinfo`: what it says of modules, and of files that are none. */
#include "harness.h"

#include <stdio.h>
#include <string.h>

static char *build_path(const char *path)
{
    return keep_printf("%s/%s", getenv("PILLION_BUILD"), path);
}

START_TEST(modinfo_tells_name_methods_directives_and_origin)
{
    struct run run = pillion("modinfo", build_path("modules/hello.so"));
    static const char *const parts[] = {"name:       hello\n",
                                        "version:    1.0.0\n",
                                        "ABI:        1.",
                                        "hooks:      check, start, stop\n",
                                        "  greet               Greets somebody by name.\n",
                                        "  max_name            integer, 1 to 1000, default \"100\"",
                                        "enum of calm | cheerful",
                                        "built with: ",
                                        "loads here: yes"};

    expect_status(&run, 0);
    ck_assert_str_eq(run.err, "");
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        expect_part(run.out, parts[i]);
}
END_TEST

static const char *string_of(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(member) ? member->valuestring : "";
}

START_TEST(modinfo_prints_json_for_programs)
{
    struct run run = pillion("modinfo", build_path("modules/hello.so"), "--json");
    struct run same = pillion("modinfo", "--json", build_path("modules/hello.so"));

    expect_status(&run, 0);
    ck_assert_str_eq(run.out, same.out);
    cJSON *json = cJSON_Parse(run.out);
    ck_assert_ptr_nonnull(json);
    ck_assert_str_eq(string_of(json, "name"), "hello");
    const cJSON *abi = cJSON_GetObjectItemCaseSensitive(json, "abi");
    ck_assert_int_eq(cJSON_GetObjectItemCaseSensitive(abi, "major")->valueint, 1);
    const cJSON *method = cJSON_GetObjectItemCaseSensitive(json, "methods")->child;
    ck_assert_str_eq(string_of(method, "name"), "greet");
    const cJSON *params = cJSON_GetObjectItemCaseSensitive(method, "params");
    ck_assert_str_eq(string_of(params, "type"), "object");
    const cJSON *directives = cJSON_GetObjectItemCaseSensitive(json, "directives");
    ck_assert_int_eq(cJSON_GetArraySize(directives), 4);
    ck_assert_str_eq(string_of(directives->child, "kind"), "string");
    ck_assert_str_eq(string_of(directives->child, "default"), "Hello");
    ck_assert(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "loads")));
    cJSON_Delete(json);
}
END_TEST

/* They would abort, end the process, or never return. */
START_TEST(modinfo_runs_no_constructor)
{
    static const char *const names[] = {"ctor_abort", "ctor_exit", "ctor_loop", "ctor_segv"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct run run =
            pillion("modinfo", build_path(keep_printf("tests/modules/%s.so", names[i])));
        expect_status(&run, 0);
        expect_part(run.out, keep_printf("name:       %s\n", names[i]));
    }
}
END_TEST

/* What compilers and linkers write differs; what is read does not. */
START_TEST(modinfo_reads_the_modules_of_every_linker)
{
    static const char source[] = "#include <pillion/module.h>\n"
                                 "static void answer(pillion_request *req)\n"
                                 "{ pillion_reply(req, \"answer\", NULL); }\n"
                                 "static const pillion_method methods[] = {{.name = \"answer\",\n"
                                 "  .handler = answer, .summary = \"Found by pointer.\"}, {0}};\n"
                                 "PILLION_MODULE(.name = \"m\", .version = \"2.1\",\n"
                                 "  .methods = methods);\n";
    static const char *const commands[] = {"gcc -Wl,--hash-style=gnu", "gcc -Wl,--hash-style=sysv",
                                           "gcc -s -O3", "clang -O0", "clang -s -O2"};
    struct server *server = server_new();
    char *c = server_path(server, "m.c"), *so = server_path(server, "m.so");

    server_write(server, "m.c", "%s", source);
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        const char *line =
            keep_printf("%s -shared -fPIC -Icore/include -o %s %s", commands[i], so, c);
        struct run made =
            run_command((const char *const[]){"/bin/sh", "-c", line, NULL}, NULL, PATIENCE_MS);
        expect_status(&made, 0);
        struct run run = pillion("modinfo", so);
        expect_status(&run, 0);
        expect_part(run.out, "version:    2.1\n");
        expect_part(run.out, "  answer              Found by pointer.\n");
        expect_part(run.out, strncmp(commands[i], "gcc", 3) == 0 ? "GCC" : "clang");
    }
}
END_TEST

START_TEST(modinfo_says_why_a_file_is_no_module)
{
    struct server *server = server_new();
    char *path = server_path(server, "cut.so");
    size_t size;
    char *whole = file_read(build_path("modules/hello.so"), &size);

    file_write(path, whole, size / 2);
    struct run run = pillion("modinfo", path);
    expect_status(&run, 1);
    expect_part(run.err, "pillion modinfo: ");
    expect_part(run.err, "cut short");
    run = pillion("modinfo", "/etc/passwd");
    expect_status(&run, 1);
    expect_part(run.err, "/etc/passwd: not an ELF file");
    expect_part(run.err, "made with `cc -shared -fPIC`");
    run = pillion("modinfo", "/no/such/file.so");
    expect_status(&run, 1);
    expect_part(run.err, "/no/such/file.so: cannot open");
    run = pillion("modinfo", server->prefix);
    expect_status(&run, 1);
    expect_part(run.err, keep_printf("%s: a directory; name a file in it", server->prefix));
    run = pillion("modinfo", "/dev/null");
    expect_status(&run, 1);
    expect_part(run.err, "/dev/null: not a regular file");
    file_write(path, "", 0);
    run = pillion("modinfo", path);
    expect_status(&run, 1);
    expect_part(run.err, "cut.so: the file is empty (was it still being copied?); copy it again");
    run = pillion("modinfo", build_path("tests/modules/no_descriptor.so"));
    expect_status(&run, 1);
    expect_part(run.err, "no_descriptor.so: a shared object, but no Pillion module: it has no "
                         "PILLION_MODULE");
    expect_part(run.err, "`pillion new NAME` writes one");
    /* The bytes of the header that say for what it was built: elf(5). */
    static const struct {
        size_t at;
        char byte;
        const char *says;
    } headers[] = {
        {4, 1, "-bit; this server is "},
        {5, 2, "-bit, big-endian; this server is "},
        {18, 8, "built for another machine, "},
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
        char before = whole[headers[i].at];
        whole[headers[i].at] = headers[i].byte;
        file_write(path, whole, size);
        whole[headers[i].at] = before;
        run = pillion("modinfo", path);
        expect_status(&run, 1);
        expect_part(run.err, headers[i].says);
        expect_part(run.err, "build it on or for this machine");
    }
    run = pillion("modinfo", build_path("tests/modules/abi_major.so"));
    expect_status(&run, 1);
    expect_part(run.err, "needs module API 7.0");
    ck_assert_str_eq(run.out, "");
    run = pillion("modinfo");
    expect_status(&run, 64);
    expect_part(run.err, "which FILE?");
    run = pillion("modinfo", "a", "b");
    expect_status(&run, 64);
    expect_part(run.err, "one too many");
    run = pillion("modinfo", "--jsn", "a");
    expect_status(&run, 64);
    expect_part(run.err, "did you mean --json?");
}
END_TEST

START_TEST(doc_makes_markdown_of_a_module)
{
    struct run run = pillion("doc", build_path("modules/hello.so"));
    expect_status(&run, 0);
    expect_part(run.out, "# hello 1.0.0\n");
    expect_part(run.out, "| `greeting` | string, default \"Hello\" |");
    expect_part(run.out, "### greet\n\nGreets somebody by name.\n\nTitle: Greet somebody\n\n"
                         "Additive: nothing that there was is changed or removed.\n\n"
                         "| param | takes | |\n| --- | --- | --- |\n"
                         "| `name` | a string of at least 1 character, required | Of whom");
    run = pillion("doc", module_path("typed"));
    expect_part(run.out, "| `items` | a list of at least 1 item, each an object |  |\n"
                         "| `items[].sku` | a string of 1 to 8 characters, required |  |\n"
                         "| `items[].pieces` | a whole number from 1 to 99, default 1 |  |\n");
    expect_part(run.out, "### none\n\nIt takes no params.\n");
    run = pillion("doc", build_path("modules/limit.so"));
    expect_status(&run, 0);
    expect_part(run.out, "## Filters\n\n### limit\n");
    expect_part(run.out, "| `zone` | string, required |");
    run = pillion("doc", build_path("tests/modules/later.so"));
    expect_part(run.out, "### retry\n\nIdempotent: ");
    run = pillion("doc", build_path("tests/modules/ctor_abort.so")); /* nothing of it runs */
    expect_status(&run, 0);
    run = pillion("doc", "/no/such.so");
    expect_status(&run, 1);
    expect_part(run.err, "/no/such.so: cannot open");
    run = pillion("modinfo", build_path("tests/modules/later.so"));
    expect_part(run.out, "    idempotent");
    run = pillion("modinfo", "--json", build_path("tests/modules/later.so"));
    cJSON *json = cJSON_Parse(run.out);
    ck_assert(cJSON_IsObject(json));
    cJSON_Delete(json);
    expect_part(run.out, "{\"name\": \"retry\", \"summary\": null, \"idempotent\": true");
}
END_TEST

E2E_MAIN("modinfo", modinfo_tells_name_methods_directives_and_origin,
         modinfo_prints_json_for_programs, modinfo_runs_no_constructor,
         modinfo_reads_the_modules_of_every_linker, modinfo_says_why_a_file_is_no_module,
         doc_makes_markdown_of_a_module)
