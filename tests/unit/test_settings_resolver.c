/* `resolver`: the name servers that it takes are those that can be asked. */
#include "conf/parser.h"
#include "conf/settings_table.h"
#include "registry/resolver.h"

#include <stdio.h>

#include "unit.h"

static struct settings settings;
static struct conf_errors errors;
static char complaint[4096];
static struct conf_tree *tree; /* of which `settings` are */

static void forget(void)
{
    conf_tree_free(tree);
    tree = NULL;
}

/* The configuration's errors. */
static const char *read_with(const char *text)
{
    char whole[1024];

    forget();
    tree = conf_tree_new("/p");
    errors = (struct conf_errors){0};
    snprintf(whole, sizeof(whole), "%s\nserver { listen 1; }\n", text);
    conf_tree_add_text(tree, "t", bytes_of(whole), false, &errors);
    settings_read(tree, &settings, &errors);
    snprintf(complaint, sizeof(complaint), "%s", text_string(&errors.text));
    text_free(&errors.text);
    return complaint;
}

START_TEST(name_servers_are_read_as_they_are_checked)
{
    static const char *const good[] = {"10.0.0.53",  "10.0.0.53:5353", "2001:db8::53",   "::1",
                                       "[::1]:5353", "[2001:db8::53]", "127.0.0.1:65535"};
    static const char *const bad[] = {"*",          "dns.example", "10.0.0.53:",      "10.0.0.53:0",
                                      "10.0.0.0/8", "10.0.0.53:x", "10.0.0.53:65536", "[::1",
                                      "[10.0.0.1]", "53",          "unix:/x",         "::1:x"};
    struct address address;
    struct error error;
    char line[128];

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        snprintf(line, sizeof(line), "resolver %s;", good[i]);
        ck_assert_str_eq(read_with(line), "");
        ck_assert_msg(resolver_server_parse(good[i], &address, &error), "%s", error.text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        snprintf(line, sizeof(line), "resolver 10.0.0.1 %s;", bad[i]);
        ck_assert_msg(strstr(read_with(line), "a name server is written as its address") != NULL,
                      "%s", bad[i]);
        ck_assert_msg(!resolver_server_parse(bad[i], &address, &error), "%s", bad[i]);
    }
    forget();
}
END_TEST

START_TEST(eight_name_servers_are_enough)
{
    struct resolver_servers servers;
    struct error error;

    ck_assert_str_eq(read_with("resolver 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 "
                               "10.0.0.7 10.0.0.8; resolver_timeout 300ms;"),
                     "");
    ck_assert(resolver_servers_read(settings.resolver.items, settings.resolver.count,
                                    (uint32_t)settings.resolver_timeout_ms, &servers, &error));
    ck_assert_uint_eq(servers.count, RESOLVER_SERVERS_MAX);
    ck_assert_uint_eq(servers.timeout_ms, 300);
    ck_assert_str_eq(servers.addresses[7].text, "10.0.0.8:53");
    ck_assert_str_ne(read_with("resolver 1.0.0.1 1.0.0.2 1.0.0.3 1.0.0.4 1.0.0.5 1.0.0.6 1.0.0.7 "
                               "1.0.0.8 1.0.0.9;"),
                     "");
    ck_assert_str_eq(read_with(""), "");
    ck_assert_uint_eq(settings.resolver.count, 0);
    ck_assert_uint_eq(settings.resolver_timeout_ms, 2000);
    forget();
}
END_TEST

UNIT_MAIN("settings_resolver", name_servers_are_read_as_they_are_checked,
          eight_name_servers_are_enough)
