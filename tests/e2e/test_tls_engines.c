/* TLS to engines: the redis module, which speaks it through the core, and postgres, whose libpq
 * does; each with the real server. */
#include "postgres_server.h"
#include "redis_server.h"
#include "tls_peer.h"

/* Certificates in PREFIX/tls: "server" for `hosts`, and "client", by "authority"; and "other". */
static void make_certificates(const struct server *server, const char *hosts)
{
    tls_make(server, "authority", "DNS:authority", NULL);
    tls_make(server, "other", "DNS:other", NULL);
    tls_make(server, "server", hosts, "authority");
    tls_make(server, "client", "DNS:client", "authority");
}

/* ---- Redis ---- */

#define KV                                    \
    "method ping; redis_method get GET $key;" \
    "redis_method set SET $key $value; redis_method fill SETRANGE $key 8000000 x;"

static struct server *redis_server(struct redis *redis, const char *hosts)
{
    struct server *server = server_new();

    *redis = (struct redis){.port = free_port(), .tls = server_path(server, "tls")};
    make_certificates(server, hosts);
    return server;
}

static void redis_conf(const struct server *server, const struct redis *redis, const char *ssl)
{
    server_conf(server,
                keep_printf("load_module modules/redis.so { server 127.0.0.1:%d; ssl on; "
                            "timeout 20s; %s }",
                            redis->port, ssl),
                KV);
}

#define TRUSTED "ssl_trusted_certificate tls/authority.pem; "

START_TEST(redis_is_asked_over_tls)
{
    struct redis redis;
    struct server *server = redis_server(&redis, "IP:127.0.0.1");

    redis_start(&redis, server, "secret");
    redis_conf(server, &redis, TRUSTED "password secret;");
    server_start(server);
    int client = client_connect(server);
    redis_is_there(client);
    client_call(client, "set", "{\"key\":\"a\",\"value\":\"over TLS\"}");
    expect_text(client_call(client, "get", "{\"key\":\"a\"}"),
                "{\"out\":\"value\",\"result\":\"over TLS\"}");
    close(client);
    redis_end(&redis);
}
END_TEST

/* Far more than a socket pair holds, in both directions, while others are answered. */
START_TEST(large_values_of_redis_pass_over_tls)
{
    struct redis redis;
    struct server *server = redis_server(&redis, "IP:127.0.0.1");
    size_t size = 3 << 20;
    char *params = keep(malloc(size + 64));

    redis_start(&redis, server, NULL);
    server_conf(server,
                keep_printf("load_module modules/redis.so { server 127.0.0.1:%d; ssl on; "
                            "timeout 50s; connections 1; " TRUSTED " }",
                            redis.port),
                KV "max_frame 8m;");
    server_start_alone(server);
    int client = client_connect(server), other = client_connect(server);
    redis_is_there(client);
    int at = sprintf(params, "{\"key\":\"large\",\"value\":\"");
    memset(params + at, 'y', size);
    strcpy(params + at + size, "\"}");
    expect_part(client_call(client, "set", params), "OK");
    for (int i = 0; i < 3; i++)
        client_send_frame(client, "{\"in\":\"get\",\"params\":{\"key\":\"large\"}}");
    client_expect_alive(other);
    for (int i = 0; i < 3; i++) {
        size_t got;
        client_receive(client, &got);
        ck_assert_uint_eq(got, size + strlen("{\"out\":\"value\",\"result\":\"\"}"));
    }
    close(client);
    close(other);
    redis_end(&redis);
}
END_TEST

START_TEST(redis_asks_for_a_certificate)
{
    struct redis redis;
    struct server *server = redis_server(&redis, "DNS:redis.test");

    redis.asks = true;
    redis_start(&redis, server, NULL);
    chmod(server_path(server, "tls/client.key"),
          0600); /* root's alone, where the tests are root's */
    redis_conf(server, &redis, TRUSTED "ssl_name redis.test;");
    server_start(server);
    server_wait_log(server, "TLS: it wants a certificate of the client's, and has got none");
    redis_conf(server, &redis,
               TRUSTED "ssl_name redis.test; ssl_certificate tls/client.pem; "
                       "ssl_certificate_key tls/client.key;");
    server_reload(server);
    int client = client_connect(server);
    redis_is_there(client);
    close(client);
    redis_end(&redis);
}
END_TEST

START_TEST(a_redis_that_cannot_be_verified_gets_no_password)
{
    struct redis redis;
    struct server *server = redis_server(&redis, "IP:127.0.0.1");
    static const struct {
        const char *directives, *said;
    } rows[] = {
        {"", "its certificate is not trusted: \"authority\", who signed it"},
        {"ssl_trusted_certificate tls/other.pem;", "other.pem authorities"},
        {TRUSTED "ssl_name redis.test;", "is not for \"redis.test\": it is for 127.0.0.1"},
    };

    redis_start(&redis, server, "secret");
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        test_row(rows[i].said);
        redis_conf(server, &redis, keep_printf("%s password secret;", rows[i].directives));
        if (i == 0)
            server_start(server);
        else
            server_reload(server);
        server_wait_log(server, rows[i].said);
    }
    int client = client_connect(server);
    client_send_frame(client, "{\"in\":\"get\",\"params\":{\"key\":\"a\"}}");
    const char *message = client_expect_error(client, "redis_unavailable");
    ck_assert_msg(strstr(message, "127.0.0.1") == NULL, "%s", message);
    close(client);
    redis_end(&redis);
}
END_TEST

START_TEST(a_plain_redis_is_told_from_one_with_tls)
{
    struct redis redis;
    struct server *server = redis_server(&redis, "IP:127.0.0.1");

    redis.tls = NULL;
    redis_start(&redis, server, NULL);
    redis_conf(server, &redis, TRUSTED);
    server_start(server);
    server_wait_log(server, "does it speak TLS?");
    redis_end(&redis);
}
END_TEST

START_TEST(a_redis_that_comes_again_is_asked_again_over_tls)
{
    struct redis redis;
    struct server *server = redis_server(&redis, "IP:127.0.0.1");

    redis_conf(server, &redis, TRUSTED);
    server_start(server);
    int client = client_connect(server);
    for (int i = 0; i < 3; i++) {
        redis_start(&redis, server, NULL);
        redis_is_there(client);
        redis_end(&redis);
        wait_until(strstr(client_call(client, "get", "{\"key\":\"a\"}"), "redis_unavailable") !=
                       NULL,
                   "it is not noticed that redis has gone");
    }
    close(client);
}
END_TEST

/* ---- PostgreSQL ---- */

#define SQL                                                                              \
    "method ping; postgres_method one 'select 1' { returns value; }"                     \
    "postgres_method secure 'select ssl from pg_stat_ssl where pid = pg_backend_pid()' " \
    "{ returns value; }"

/* Its certificate is its user's alone, as it wants it. */
static void postgres_secure(struct postgres *postgres, const struct server *server, bool asks)
{
    const char *to = keep_printf("%s/db", postgres->data), *from = server_path(server, "tls");

    pid_t pid = run_as_somebody(
        postgres,
        (const char *const[]){
            "/bin/sh", "-ec",
            keep_printf("umask 077; cp %s/server.pem %s/server.crt; cat %s/copy.key >%s/server.key;"
                        "cp %s/authority.pem %s/root.crt;"
                        "echo \"ssl = on\nssl_ca_file = 'root.crt'\" >>%s/postgresql.conf;"
                        "echo 'hostssl all all 127.0.0.1/32 trust%s' >%s/pg_hba.conf",
                        from, to, from, to, from, to, to, asks ? " clientcert=verify-ca" : "", to),
            NULL});
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

static struct server *postgres_server(struct postgres *postgres, const char *hosts, bool asks)
{
    struct server *server = server_new();

    *postgres = (struct postgres){.port = free_port()};
    make_certificates(server, hosts);
    postgres_init(postgres, server);
    /* PostgreSQL's user has to read it. */
    file_copy(server_path(server, "tls/server.key"), server_path(server, "tls/copy.key"));
    postgres_secure(postgres, server, asks);
    postgres_start(postgres);
    return server;
}

/* `ssl` are directives of the module's block, and `more` is of the connection string. */
static void sql_conf(const struct server *server, const struct postgres *postgres, const char *ssl,
                     const char *more)
{
    server_conf(server,
                keep_printf("sandbox_read tls; load_module modules/postgres.so { %s conninfo "
                            "\"host=localhost hostaddr=127.0.0.1 port=%d user=test dbname=postgres "
                            "%s\"; }",
                            ssl, postgres->port, more),
                SQL);
}

/* By a server of its own, whose log has nothing of others. */
static void expect_sql_refused(const struct server *like, const struct postgres *postgres,
                               const char *ssl, const char *said)
{
    struct server *server = server_new();

    test_row(ssl);
    mkdir(server_path(server, "tls"), 0755);
    file_copy(server_path(like, "tls/other.pem"), server_path(server, "tls/other.pem"));
    sql_conf(server, postgres, ssl, "");
    server_start(server);
    server_wait_log(server, said);
    test_row(NULL);
}

START_TEST(postgres_is_verified_over_tls)
{
    struct postgres postgres;
    struct server *server = postgres_server(&postgres, "DNS:localhost", false);

    sql_conf(server, &postgres, "ssl on; " TRUSTED, "");
    server_start(server);
    int client = client_connect(server);
    postgres_is_there(client);
    gives(client, "secure", "null", "true");
    expect_sql_refused(server, &postgres, "ssl on; ssl_trusted_certificate tls/other.pem;",
                       "certificate verify failed");
    expect_sql_refused(server, &postgres, "ssl on;", "certificate verify failed");
    sql_conf(server, &postgres, "ssl on; ssl_verify off;", "");
    server_reload(server);
    wait_until(strstr(client_call(client, "secure", "null"), "true") != NULL, "it has no TLS");
    close(client);
    postgres_end(&postgres);
}
END_TEST

START_TEST(a_postgres_of_another_name_is_refused)
{
    struct postgres postgres;
    struct server *server = postgres_server(&postgres, "DNS:db.test", false);

    sql_conf(server, &postgres, "ssl on; " TRUSTED, "");
    server_start(server);
    server_wait_log(server, "does not match host name \"localhost\"");
    sql_conf(server, &postgres, "ssl on; ssl_name db.test; " TRUSTED, "");
    server_reload(server);
    int client = client_connect(server);
    postgres_is_there(client);
    close(client);
    postgres_end(&postgres);
}
END_TEST

/* libpq reads the files by itself, as the worker's user. */
START_TEST(postgres_asks_for_a_certificate)
{
    struct postgres postgres;
    struct server *server = postgres_server(&postgres, "DNS:localhost", true);
    const char *key = server_path(server, "tls/client.key");

    if (getuid() == 0)
        ck_assert_int_eq(chown(key, 65534, 65534), 0); /* nobody, which is the workers' user */
    chmod(key, 0600);
    sql_conf(server, &postgres, "ssl on; " TRUSTED, "");
    server_start(server);
    server_wait_log(server, "client certificate");
    sql_conf(server, &postgres,
             "ssl on; ssl_certificate tls/client.pem; ssl_certificate_key tls/client.key; " TRUSTED,
             "");
    server_reload(server);
    int client = client_connect(server);
    postgres_is_there(client);
    close(client);
    postgres_end(&postgres);
}
END_TEST

START_TEST(the_connection_string_may_say_it_too)
{
    struct postgres postgres;
    struct server *server = postgres_server(&postgres, "DNS:localhost", false);

    sql_conf(server, &postgres, "",
             keep_printf("sslmode=verify-full sslrootcert=%s",
                         server_path(server, "tls/authority.pem")));
    server_start(server);
    int client = client_connect(server);
    postgres_is_there(client);
    gives(client, "secure", "null", "true");
    close(client);
    postgres_end(&postgres);
}
END_TEST

START_TEST(directives_of_postgres_that_contradict_each_other_are_refused)
{
    struct postgres postgres = {.port = 1};
    struct server *server = server_new();
    static const struct {
        const char *directives, *more, *said;
    } rows[] = {
        {"ssl on;", "sslmode=require", "sslmode is what `ssl on` says already"},
        {"ssl on; ssl_certificate tls/client.pem;", "", "it needs ssl_certificate_key"},
        {"ssl on; ssl_certificate_key tls/client.key;", "", "it needs ssl_certificate"},
        {"ssl on; ssl_trusted_certificate nowhere;", "", "cannot read"},
        {"ssl on;", "hostaddr='' host=/run", "has no TLS on the Unix socket"},
        {"ssl_name a;", "hostaddr=''", "has to be `hostaddr`"},
    };

    make_certificates(server, "DNS:localhost");
    server_conf(server, "", "method ping;");
    server_start(server);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        sql_conf(server, &postgres, rows[i].directives, rows[i].more);
        server_reload_refused(server, rows[i].said);
    }
}
END_TEST

START_TEST(a_postgres_that_comes_again_is_asked_again_over_tls)
{
    struct postgres postgres;
    struct server *server = postgres_server(&postgres, "DNS:localhost", false);

    sql_conf(server, &postgres, "ssl on; " TRUSTED, "");
    server_start(server);
    int client = client_connect(server);
    postgres_is_there(client);
    for (int i = 0; i < 2; i++) {
        postgres_end(&postgres);
        wait_until(strstr(client_call(client, "one", "null"), "\"error\"") != NULL,
                   "it is not noticed that postgres has gone");
        postgres_start(&postgres);
        postgres_is_there(client);
    }
    close(client);
    postgres_end(&postgres);
}
END_TEST

E2E_MAIN("tls_engines", redis_is_asked_over_tls, large_values_of_redis_pass_over_tls,
         redis_asks_for_a_certificate, a_redis_that_cannot_be_verified_gets_no_password,
         a_plain_redis_is_told_from_one_with_tls, a_redis_that_comes_again_is_asked_again_over_tls,
         postgres_is_verified_over_tls, a_postgres_of_another_name_is_refused,
         postgres_asks_for_a_certificate, the_connection_string_may_say_it_too,
         directives_of_postgres_that_contradict_each_other_are_refused,
         a_postgres_that_comes_again_is_asked_again_over_tls)
