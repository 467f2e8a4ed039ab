/* The client of etcd where etcd asks who it is: users with passwords, and certificates. */
#include "etcd_fixture.h"

static struct etcd_cluster cluster;
static struct peer holder, watcher;
static char root_token[512];
static char folder[] = "/tmp/etcd-tls-XXXXXX";

static bool key_is_there(void)
{
    return watcher.snapshots > 0 && has(&watcher, "/p/a", NULL) && holder.helds > 0;
}

static bool key_is_changed(void)
{
    return has(&watcher, "/p/a", "2");
}

static bool holder_is_troubled(void)
{
    return holder.trouble[0] != '\0';
}

static void end(void)
{
    peer_close(&holder);
    peer_close(&watcher);
    loop_free(&loop);
    etcd_cluster_end(&cluster);
}

/* ---- Users ---- */

static void ask_as_root(const char *path, const char *body)
{
    const char *answer =
        etcd_request_as(&cluster, 0, root_token[0] == '\0' ? NULL : root_token, path, body);
    ck_assert_msg(strstr(answer, " 200 ") != NULL, "%s: %s", path, answer);
}

static void log_root_in(void)
{
    const char *answer = etcd_request(&cluster, 0, "/v3/auth/authenticate",
                                      "{\"name\":\"root\",\"password\":\"r\"}");
    snprintf(root_token, sizeof(root_token), "%s", etcd_answer_text(answer, "token"));
    ck_assert_str_ne(root_token, "");
}

/* Users root and shop; shop may read and write what begins with /p/. */
static void begin_with_users(const char *arguments)
{
    etcd_needed();
    root_token[0] = '\0';
    cluster = (struct etcd_cluster){.count = 1, .arguments = arguments};
    etcd_cluster_start(&cluster);
    etcd_cluster_wait(&cluster);
    ask_as_root("/v3/auth/user/add", "{\"name\":\"root\",\"password\":\"r\"}");
    ask_as_root("/v3/auth/role/add", "{\"name\":\"root\"}");
    ask_as_root("/v3/auth/user/grant", "{\"user\":\"root\",\"role\":\"root\"}");
    ask_as_root("/v3/auth/user/add", "{\"name\":\"shop\",\"password\":\"s\\\"x\"}");
    ask_as_root("/v3/auth/role/add", "{\"name\":\"shop\"}");
    ask_as_root("/v3/auth/role/grant",
                "{\"name\":\"shop\",\"perm\":{\"permType\":\"READWRITE\",\"key\":\"L3Av\","
                "\"range_end\":\"L3Aw\"}}");
    ask_as_root("/v3/auth/user/grant", "{\"user\":\"shop\",\"role\":\"shop\"}");
    ask_as_root("/v3/auth/enable", "{}");
    fixture_open();
}

static struct etcd_settings as_shop(const char *password, uint32_t ttl_s)
{
    struct etcd_settings settings = settings_of(&cluster, ttl_s);

    settings.user = "shop";
    settings.password = password;
    return settings;
}

static void open_as(const struct etcd_settings *settings)
{
    peer_open_as(&watcher, settings);
    peer_watch(&watcher, "/p/");
    peer_open_as(&holder, settings);
    peer_hold(&holder, "/p/a", "1");
    await(key_is_there, 90, "the key does not come: %s %s", holder.trouble, watcher.trouble);
}

static void open_as_shop(uint32_t ttl_s)
{
    struct etcd_settings settings = as_shop("s\"x", ttl_s);

    open_as(&settings);
}

START_TEST(tokens_that_expire_are_renewed_and_nobody_notices)
{
    begin_with_users("--auth-token-ttl 1");
    open_as_shop(9); /* a sign of life each 3 s: each comes with a token that has expired */
    run_for(8000);
    peer_hold(&holder, "/p/a", "2");
    await(key_is_changed, 20, "the change does not come");
    ck_assert_msg(holder.trouble[0] == '\0', "%s", holder.trouble);
    ck_assert_msg(watcher.trouble[0] == '\0', "%s", watcher.trouble);
    ck_assert(holder.leases == 1 && watcher.snapshots == 1);
    end();
}
END_TEST

START_TEST(a_token_that_a_restart_has_lost_is_renewed)
{
    begin_with_users(NULL);
    open_as_shop(20);
    etcd_member_kill(&cluster, 0);
    etcd_member_start(&cluster, 0);
    etcd_member_wait(&cluster, 0);
    peer_hold(&holder, "/p/a", "2");
    await(key_is_changed, 30, "the change does not come: %s", watcher.trouble);
    ck_assert(holder.leases == 1 && watcher.snapshots == 1);
    end();
}
END_TEST

/* One takes etcd a quarter of a second or more here, and both wait for a quarter at first. */
START_TEST(a_password_that_takes_etcd_long_is_waited_for)
{
    begin_with_users("--bcrypt-cost 12");
    struct etcd_settings settings = as_shop("s\"x", 20);
    settings.timeout_ms = 250;
    open_as(&settings);
    end();
}
END_TEST

START_TEST(a_change_of_users_costs_no_watch_and_no_lease)
{
    begin_with_users(NULL);
    open_as_shop(6);
    log_root_in();
    ask_as_root("/v3/auth/user/add", "{\"name\":\"third\",\"password\":\"t\"}");
    run_for(3000);
    peer_hold(&holder, "/p/a", "2");
    await(key_is_changed, 30, "the change does not come: %s", holder.trouble);
    ck_assert_uint_eq(holder.leases, 1);
    end();
}
END_TEST

START_TEST(wrong_names_and_missing_rights_are_told_in_words)
{
    struct etcd_settings settings;

    begin_with_users(NULL);
    settings = as_shop("wrong", 10);
    peer_open_as(&holder, &settings);
    peer_hold(&holder, "/p/a", "1");
    await(holder_is_troubled, 20, "nothing is told");
    ck_assert_msg(strstr(holder.trouble, "user shop: ") != NULL, "%s", holder.trouble);
    ck_assert_ptr_null(strstr(holder.trouble, "wrong"));
    peer_close(&holder);

    peer_open(&holder, &cluster, 10);
    peer_hold(&holder, "/p/a", "1");
    await(holder_is_troubled, 20, "nothing is told");
    ck_assert_msg(strstr(holder.trouble, "name a `user`") != NULL, "%s", holder.trouble);
    peer_close(&holder);

    settings = as_shop("s\"x", 10);
    peer_open_as(&holder, &settings);
    peer_hold(&holder, "/q/a", "1");
    await(holder_is_troubled, 20, "nothing is told");
    ck_assert_msg(strstr(holder.trouble, "/q/a: etcdserver: permission denied") != NULL, "%s",
                  holder.trouble);
    holder.trouble[0] = '\0';
    peer_watch(&holder, "/q/");
    run_for(1500);
    ck_assert_uint_eq(holder.snapshots, 0);
    ck_assert_uint_le(figures_of(&holder).requests, 20); /* with pauses */
    end();
}
END_TEST

START_TEST(a_user_where_nobody_asks_is_no_mistake)
{
    struct etcd_settings settings;

    etcd_needed();
    cluster = (struct etcd_cluster){.count = 1};
    etcd_cluster_start(&cluster);
    etcd_cluster_wait(&cluster);
    fixture_open();
    settings = as_shop("x", 10);
    peer_open_as(&watcher, &settings);
    peer_watch(&watcher, "/p/");
    peer_open_as(&holder, &settings);
    peer_hold(&holder, "/p/a", "1");
    await(key_is_there, 20, "the key does not come: %s", holder.trouble);
    ck_assert_msg(strstr(holder.trouble, "not needed") != NULL, "%s", holder.trouble);
    end();
}
END_TEST

/* ---- Certificates ---- */

static const char *file(const char *name)
{
    static char paths[8][64];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

/* Two authorities; of the first a server's certificate for 127.0.0.1 and a client's, of the second
 * a client's. */
static void make_certificates(void)
{
    static const char script[] =
        "set -e; cd %s; exec 2>/dev/null\n"
        "key() { openssl ecparam -name prime256v1 -genkey -noout -out $1.key; }\n"
        "ca() { key $1; openssl req -x509 -new -key $1.key -subj /CN=$1 -days 9 -out $1.pem; }\n"
        "cert() { key $1; openssl req -new -key $1.key -subj /CN=$1 -out $1.csr\n"
        "  printf 'subjectAltName=IP:%%s\\n' $3 >$1.ext\n"
        "  openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -days 9 "
        "-extfile $1.ext -out $1.pem; }\n"
        "ca one; ca two; cert server one 127.0.0.1; cert client one 127.0.0.2; cert other two "
        "127.0.0.3\n";
    char command[2048];

    strcpy(folder, "/tmp/etcd-tls-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(command, sizeof(command), script, folder);
    ck_assert_msg(system(command) == 0, "openssl makes no certificates");
}

static void begin_with_tls(void)
{
    etcd_needed();
    make_certificates();
    cluster = (struct etcd_cluster){
        .count = 1, .ca = file("one.pem"), .cert = file("server.pem"), .key = file("server.key")};
    etcd_cluster_start(&cluster);
    etcd_cluster_wait(&cluster);
    fixture_open();
}

static struct etcd_settings by_tls(const char *ca, const char *client)
{
    static char cert[64], key[64];
    struct etcd_settings settings = settings_of(&cluster, 10);

    snprintf(cert, sizeof(cert), "%s/%s.pem", folder, client == NULL ? "" : client);
    snprintf(key, sizeof(key), "%s/%s.key", folder, client == NULL ? "" : client);
    settings.ca = file(ca);
    settings.cert = client == NULL ? NULL : cert;
    settings.key = client == NULL ? NULL : key;
    return settings;
}

static void end_with_tls(void)
{
    char command[128];

    end();
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static void fails_with(const struct etcd_settings *settings, const char *why)
{
    peer_open_as(&holder, settings);
    peer_watch(&holder, "/p/");
    run_for(10);
    /* One member that fails is all of them, but contact was never there: so the figures tell. */
    for (int i = 0; i < 500 && figures_of(&holder).failures == 0; i++)
        run_for(10);
    ck_assert_msg(figures_of(&holder).failures > 0, "it does not fail");
    ck_assert_uint_eq(holder.snapshots, 0);
    ck_assert_msg(strstr(holder.why, why) != NULL, "%s", holder.why);
    peer_close(&holder);
}

START_TEST(members_and_clients_know_each_other_by_certificates)
{
    struct etcd_settings settings;
    struct error error;

    begin_with_tls();
    settings = by_tls("one.pem", "client");
    peer_open_as(&watcher, &settings);
    peer_watch(&watcher, "/p/");
    peer_open_as(&holder, &settings);
    peer_hold(&holder, "/p/a", "1");
    await(key_is_there, 30, "the key does not come: %s", holder.why);
    peer_close(&holder);

    settings = by_tls("two.pem", "client");
    fails_with(&settings, "certificate");
    settings = by_tls("one.pem", NULL);
    fails_with(&settings, "certificate");
    settings = by_tls("one.pem", "other");
    fails_with(&settings, "");
    /* The same member by another name, which its certificate does not have. */
    char url[64];
    const char *urls[] = {url};
    snprintf(url, sizeof(url), "https://localhost:%d", cluster.members[0].client_port);
    settings = by_tls("one.pem", "client");
    settings.urls = urls;
    fails_with(&settings, "localhost");
    settings.key = file("other.key");
    peer_open_as(&holder, &settings);
    peer_close(&holder);
    settings.ca = NULL;
    settings.unverified = true;
    settings.key = file("client.key");
    peer_open_as(&holder, &settings);
    peer_hold(&holder, "/p/a", "2");
    await(key_is_changed, 20, "the key does not come: %s", holder.why);
    settings.key = NULL;
    ck_assert_ptr_null(etcd_open(&loop, http(), &settings, &events, &holder, &error));
    end_with_tls();
}
END_TEST

ETCD_MAIN("etcd names", tokens_that_expire_are_renewed_and_nobody_notices,
          a_token_that_a_restart_has_lost_is_renewed, a_password_that_takes_etcd_long_is_waited_for,
          a_change_of_users_costs_no_watch_and_no_lease,
          wrong_names_and_missing_rights_are_told_in_words, a_user_where_nobody_asks_is_no_mistake,
          members_and_clients_know_each_other_by_certificates)
