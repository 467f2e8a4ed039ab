/* `registry` and `register`: their directives, what they need of each other, and the addresses. */
#include "conf/parser.h"
#include "conf/settings_table.h"
#include "process/preflight.h"

#include <stdio.h>

#include "unit.h"

#define REGISTRY "registry etcd http://10.0.0.9:2379 { prefix /pillion/shop; }\n"

static struct conf_tree *tree;
static struct conf_errors errors;
static struct settings settings;
static struct registering registering;
static struct text advice;

static void read_all(const char *text)
{
    tree = conf_tree_new("/p");
    conf_tree_add_text(tree, "t", bytes_of(text), false, &errors);
    if (settings_read(tree, &settings, &errors))
        preflight_registry(tree, &settings, &registering, &advice, &errors);
}

static void finish(void)
{
    conf_tree_free(tree);
    conf_errors_free(&errors);
    free(registering.items);
    registering = (struct registering){0};
    text_free(&advice);
}

/* The first error's text, without its place, is `message`; "" for none. */
static void expect(const char *text, const char *message)
{
    read_all(text);
    const char *from = strstr(text_string(&errors.text), ": ");
    struct text first = {0};
    if (from != NULL)
        text_append(&first, (struct bytes){from + 2, strcspn(from + 2, "\n")});
    ck_assert_str_eq(text_string(&first), message);
    text_free(&first);
    finish();
}

START_TEST(every_directive_of_registry_is_read)
{
    read_all("registry etcd http://10.0.0.9:2379 https://etcd.example:2379/ {\n"
             "    prefix /pillion/shop; ttl 6s; timeout 1s; user shop secret/password;\n"
             "    ca tls/ca.pem; cert tls/me.pem; key tls/me.key;\n"
             "}\n"
             "server { listen 1; register 10.0.0.5:8080 weight=50; register unix:run/s.sock; }\n");
    ck_assert_str_eq(text_string(&errors.text), "");
    const struct registry_settings *registry = settings.registry;
    ck_assert_str_eq(registry->engine, "etcd");
    ck_assert_uint_eq(registry->urls.count, 2);
    ck_assert_str_eq(registry->urls.items[0], "http://10.0.0.9:2379");
    ck_assert_str_eq(registry->prefix, "/pillion/shop");
    ck_assert_uint_eq(registry->ttl_ms, 6000);
    ck_assert_uint_eq(registry->timeout_ms, 1000);
    ck_assert_str_eq(registry->user, "shop");
    ck_assert_str_eq(registry->password_file, "/p/secret/password");
    ck_assert_str_eq(registry->ca, "/p/tls/ca.pem");
    ck_assert_str_eq(registry->cert, "/p/tls/me.pem");
    ck_assert_str_eq(registry->key, "/p/tls/me.key");
    ck_assert_uint_eq(registering.count, 2);
    ck_assert_str_eq(registering.items[0].address.text, "10.0.0.5:8080");
    ck_assert_int_eq(registering.items[0].settings->weight, 50);
    ck_assert_str_eq(registering.items[1].address.text, "unix:/p/run/s.sock");
    ck_assert_int_eq(registering.items[1].settings->weight, REGISTER_WEIGHT);
    finish();
}
END_TEST

START_TEST(a_registry_may_watch_and_register_nothing)
{
    read_all("registry etcd http://[::1]:2379;\nserver { listen 1; }\n");
    ck_assert_str_eq(text_string(&errors.text), "");
    ck_assert_ptr_null(settings.registry->prefix);
    ck_assert_uint_eq(settings.registry->ttl_ms, 10000);
    ck_assert_uint_eq(settings.registry->timeout_ms, 2500);
    finish();
}
END_TEST

START_TEST(members_are_written_with_scheme_and_port)
{
    static const char *const wrong[] = {"10.0.0.9:2379",           "ftp://10.0.0.9:2379",
                                        "http://10.0.0.9",         "http://:2379",
                                        "http://10.0.0.9:2379/v3", "http://me:pw@10.0.0.9:2379",
                                        "http://10.0.0.9:123456",  "http://10.0.0.9:65536",
                                        "http://10.0.0.9:0",       "http://[::1",
                                        "http://::1:2379",         "http://[::1]2379"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char text[256], message[512];
        snprintf(text, sizeof(text), "registry etcd %s;\nserver { listen 1; }\n", wrong[i]);
        snprintf(message, sizeof(message),
                 "a member of etcd is written http://10.0.0.9:2379 or https://etcd.example:2379, "
                 "with its port and nothing behind it, not \"%s\"",
                 wrong[i]);
        expect(text, message);
    }
    expect("registry consul http://1.2.3.4:8500;\nserver { listen 1; }\n",
           "\"registry\" must be etcd, not \"consul\"");
}
END_TEST

/* The longest prefix: "registry:" and 246 bytes are a name of 255. */
#define X41  "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X246 X41 X41 X41 X41 X41 X41

START_TEST(a_prefix_is_a_path_without_an_end_that_callers_can_name)
{
    static const char *const wrong[] = {"shop",     "/",       "/shop/", "/a//b",
                                        "\"/a b\"", "'/a\"b'", X246 "x"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char text[512];
        snprintf(text, sizeof(text),
                 "registry etcd http://10.0.0.9:2379 { prefix %s; }\nserver { listen 1; }\n",
                 wrong[i]);
        read_all(text);
        ck_assert_ptr_nonnull(strstr(text_string(&errors.text), "\"prefix\" must be a path such"));
        finish();
    }
    expect("registry etcd http://10.0.0.9:2379 { prefix " X246 "; }\nserver { listen 1; }\n", "");
}
END_TEST

START_TEST(files_of_tls_are_for_https_and_come_in_pairs)
{
    expect("registry etcd http://10.0.0.9:2379 { ca ca.pem; }\nserver { listen 1; }\n",
           "\"ca\", \"cert\" and \"key\" are for members with https://, and \"registry\" names "
           "none");
    expect("registry etcd https://10.0.0.9:2379 { key me.key; }\nserver { listen 1; }\n",
           "\"registry\" has a \"key\" and no \"cert\"; it needs both");
}
END_TEST

/* Not at the first line of the block. */
START_TEST(errors_of_the_block_point_at_their_directive)
{
    static const struct {
        const char *url, *block, *place;
    } cases[] = {
        {"http", "ttl 5s;\n  prefix nowhere;", "t:3:"},
        {"http", "prefix /p;\n ttl 5s;\n  cert c; key k;", "t:4:"},
        {"http", "ca /ca.pem;\n ttl 5s; ", "t:2:"},
        {"https", "ca /ca.pem;\n\n key k;", "t:4:"},
        {"https", "ttl 1d;", "t:2:"},
        {"https", "\nuser me;", "t:3:"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "registry etcd %s://10.0.0.9:2379 {\n%s\n}\nserver { listen 1; }", cases[i].url,
                 cases[i].block);
        read_all(text);
        ck_assert_msg(strncmp(text_string(&errors.text), cases[i].place, 4) == 0, "%s",
                      text_string(&errors.text));
        finish();
    }
}
END_TEST

START_TEST(register_needs_a_registry_with_a_prefix)
{
    expect("server { listen 1; register 10.0.0.5:1; }\n",
           "\"register\" needs a \"registry\" outside of all blocks, as in \"registry etcd "
           "http://10.0.0.9:2379 { prefix /pillion/shop; }\"");
    expect("registry etcd http://10.0.0.9:2379;\nserver { listen 1; register 10.0.0.5:1; }\n",
           "\"register\" needs the name of a service: add \"prefix /pillion/NAME;\" to the block "
           "of \"registry\"");
}
END_TEST

START_TEST(addresses_that_nobody_can_call_are_refused)
{
    static const char *const wrong[] = {"0.0.0.0:8080", "*:8080", "8080", "[::]:8080"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char text[256], message[512];
        snprintf(text, sizeof(text), REGISTRY "server { listen 1; register %s; }\n", wrong[i]);
        snprintf(message, sizeof(message),
                 "\"register %s\" is no address that others can call: write the one of this "
                 "machine that they reach, with its port, as in \"register 10.0.0.5:8080\"",
                 wrong[i]);
        expect(text, message);
    }
    expect(REGISTRY "server { listen 1; register shop.example:8080; }\n",
           "\"register\" takes an address and no name, because those that call it look nothing "
           "up: write the address of \"shop.example:8080\"");
}
END_TEST

START_TEST(an_address_is_registered_once)
{
    expect(REGISTRY "server { listen 1; register 10.0.0.5:8080; }\n"
                    "server { listen 2; register 10.0.0.5:08080; }\n",
           "10.0.0.5:8080 is registered already, by line 2");
}
END_TEST

START_TEST(weights_are_from_1_to_1000)
{
    expect(REGISTRY "server { listen 1; register 10.0.0.5:1 weight=0; }\n",
           "\"weight\" must be from 1 to 1000, not \"0\"");
    expect(REGISTRY "server { listen 1; register 10.0.0.5:1 weight=1001; }\n",
           "\"weight\" must be from 1 to 1000, not \"1001\"");
    expect(REGISTRY "server { listen 1; register 10.0.0.5:1 slow; }\n",
           "unexpected \"slow\"; it is written \"register ADDRESS [weight=N];\"");
}
END_TEST

START_TEST(a_loopback_address_in_a_registry_elsewhere_is_a_slip)
{
    read_all(REGISTRY "server { listen 1; register 127.0.0.1:8080; }\n");
    ck_assert_str_eq(text_string(&errors.text), "");
    ck_assert_ptr_nonnull(strstr(text_string(&advice), "\"register 127.0.0.1:8080\" is an address "
                                                       "of this machine alone"));
    finish();
    read_all("registry etcd http://127.0.0.1:2379 { prefix /pillion/shop; }\n"
             "server { listen 1; register 127.0.0.1:8080; }\n");
    ck_assert_str_eq(text_string(&advice), "");
    finish();
}
END_TEST

START_TEST(a_server_registers_64_addresses)
{
    struct text text = {0};

    text_append_string(&text, REGISTRY "server { listen 1;\n");
    for (unsigned i = 0; i < REGISTER_MAX; i++)
        text_printf(&text, "register 10.0.0.5:%u;\n", 8000 + i);
    size_t size = text.size;
    text_append_string(&text, "}\n");
    expect(text_string(&text), "");
    text.size = size;
    text_append_string(&text, "register 10.0.0.5:9999; }\n");
    expect(text_string(&text), "one \"register\" too many: there may be 64");
    text_free(&text);
}
END_TEST

UNIT_MAIN("settings_registry", every_directive_of_registry_is_read,
          a_registry_may_watch_and_register_nothing, members_are_written_with_scheme_and_port,
          a_prefix_is_a_path_without_an_end_that_callers_can_name,
          files_of_tls_are_for_https_and_come_in_pairs,
          errors_of_the_block_point_at_their_directive, register_needs_a_registry_with_a_prefix,
          addresses_that_nobody_can_call_are_refused, an_address_is_registered_once,
          weights_are_from_1_to_1000, a_loopback_address_in_a_registry_elsewhere_is_a_slip,
          a_server_registers_64_addresses)
