/* The client of etcd against one real member: leases, keys, watches, and what becomes of them when
 * the member goes away. test_etcd_members.c has several members, test_etcd_names.c users and TLS.
 */
#include "etcd_fixture.h"

#include <sys/mman.h>

static struct etcd_cluster cluster;
static struct peer holder, watcher;

static void begin(void)
{
    etcd_needed();
    cluster = (struct etcd_cluster){.count = 1};
    etcd_cluster_start(&cluster);
    etcd_cluster_wait(&cluster);
    fixture_open();
}

static void end(void)
{
    peer_close(&holder);
    peer_close(&watcher);
    loop_free(&loop);
    etcd_cluster_end(&cluster);
}

/* ---- Conditions ---- */

static bool snapshot_is_there(void)
{
    return watcher.snapshots > 0;
}

static bool shop_is_there(void)
{
    return has(&watcher, "/p/a", "1");
}

static bool shop_is_changed(void)
{
    return has(&watcher, "/p/a", "2");
}

static bool shop_is_gone(void)
{
    return !has(&watcher, "/p/a", NULL);
}

static bool holder_has_put(void)
{
    return holder.helds > 0;
}

static bool holder_is_there(void)
{
    return holder.there && watcher.there;
}

static bool holder_is_alone(void)
{
    return !holder.there && !watcher.there;
}

static bool holder_has_ended(void)
{
    return holder.ended;
}

static bool holder_has_another_lease(void)
{
    return holder.leases == 2 && holder.helds == 2;
}

/* A watcher, and a holder with one key that it has seen. */
static void begin_with_a_key(uint32_t ttl_s)
{
    begin();
    peer_open(&watcher, &cluster, ttl_s);
    peer_watch(&watcher, "/p/");
    await(snapshot_is_there, 20, "no snapshot: %s", watcher.trouble);
    peer_open(&holder, &cluster, ttl_s);
    peer_hold(&holder, "/p/a", "1");
    await(shop_is_there, 20, "the key does not come: %s", holder.trouble);
    await(holder_has_put, 20, "the holder does not know of it");
}

static void restart_member(void)
{
    etcd_member_kill(&cluster, 0);
    etcd_member_start(&cluster, 0);
    etcd_member_wait(&cluster, 0);
}

static void compact(void)
{
    char body[128];
    const char *answer = etcd_request(&cluster, 0, "/v3/kv/range", "{\"key\":\"AAAA\"}");

    snprintf(body, sizeof(body), "{\"revision\":\"%s\",\"physical\":true}",
             etcd_answer_text(answer, "revision"));
    ck_assert_ptr_nonnull(strstr(etcd_request(&cluster, 0, "/v3/kv/compaction", body), " 200 "));
}

/* ---- Keys and watches ---- */

START_TEST(a_key_comes_changes_and_goes_and_watchers_hear_of_it)
{
    begin_with_a_key(10);
    ck_assert(holder.lease != 0 && holder.there && watcher.there);
    peer_hold(&holder, "/p/a", "2");
    await(shop_is_changed, 20, "the value does not change");
    etcd_unhold(holder.etcd, "/p/a");
    await(shop_is_gone, 20, "the key does not go");
    ck_assert_uint_eq(watcher.snapshots, 1);
    ck_assert_uint_eq(watcher.settled, 4);
    ck_assert_str_eq(watcher.trouble, "");
    ck_assert_str_eq(holder.trouble, "");
    ck_assert_uint_eq(figures_of(&holder).leases, 1);
    end();
}
END_TEST

static bool last_value_is_there(void)
{
    return has(&watcher, "/p/a", "100");
}

START_TEST(the_last_of_many_values_is_the_one_that_stays)
{
    char value[16];

    begin_with_a_key(10);
    for (int i = 2; i <= 100; i++) {
        snprintf(value, sizeof(value), "%d", i);
        peer_hold(&holder, "/p/a", value);
    }
    await(last_value_is_there, 20, "the last value does not come");
    run_for(300);
    ck_assert(last_value_is_there());
    /* A key that goes and comes at once is there. */
    etcd_unhold(holder.etcd, "/p/a");
    peer_hold(&holder, "/p/a", "1");
    await(shop_is_there, 20, "the key does not come back");
    run_for(300);
    ck_assert(shop_is_there());
    end();
}
END_TEST

static bool all_pages_are_there(void)
{
    return watcher.row_count == 1000;
}

START_TEST(a_large_prefix_is_read_in_pages_of_one_revision)
{
    struct etcd_settings settings;
    struct error error;
    char key[32];
    static char value[3000];

    begin();
    peer_open(&holder, &cluster, 10);
    memset(value, 'x', sizeof(value));
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "/p/%04d", i);
        ck_assert(etcd_hold(holder.etcd, key, (struct bytes){value, sizeof(value)}, &error));
    }
    settings = settings_of(&cluster, 10);
    settings.answer_max = 1000000; /* less than a first page: they are made smaller */
    settings.timeout_ms = 2500;
    peer_open_as(&watcher, &settings);
    peer_watch(&watcher, "/p/");
    await(snapshot_is_there, 20, "no snapshot: %s", watcher.trouble);
    /* Whatever was there then: the rest is told by the watch. */
    await(all_pages_are_there, 60, "%zu rows", watcher.row_count);
    etcd_unwatch(watcher.etcd, "/p/");
    watcher.snapshots = 0;
    peer_watch(&watcher, "/p/");
    await(snapshot_is_there, 30, "no snapshot: %s", watcher.trouble);
    ck_assert_uint_eq(watcher.row_count, 1000);
    for (size_t i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "/p/%04zu", i);
        ck_assert_str_eq(watcher.rows[i].key, key);
        ck_assert_uint_eq(watcher.rows[i].value_size, sizeof(value));
    }
    end();
}
END_TEST

static bool four_are_there(void)
{
    return watcher.row_count == 4;
}

static bool watcher_is_troubled(void)
{
    return watcher.trouble[0] != '\0';
}

START_TEST(large_values_come_in_fragments_and_one_that_is_too_large_is_told)
{
    static char value[1000000];
    struct etcd_settings settings;
    struct error error;
    char key[] = "/p/0";

    begin();
    peer_open(&watcher, &cluster, 10);
    peer_watch(&watcher, "/p/");
    peer_open(&holder, &cluster, 10);
    memset(value, 'x', sizeof(value));
    for (; key[3] < '4'; key[3]++)
        ck_assert(etcd_hold(holder.etcd, key, (struct bytes){value, sizeof(value)}, &error));
    await(four_are_there, 30, "%zu rows: %s", watcher.row_count, holder.trouble);
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(watcher.rows[i].value_size, sizeof(value));
    peer_close(&watcher);
    settings = settings_of(&cluster, 10);
    settings.answer_max = 500000;
    peer_open_as(&watcher, &settings);
    peer_watch(&watcher, "/p/");
    await(watcher_is_troubled, 20, "nothing is told");
    ck_assert_msg(strstr(watcher.trouble, "/p/") != NULL && strstr(watcher.trouble, "larger"), "%s",
                  watcher.trouble);
    ck_assert_uint_eq(watcher.snapshots, 0);
    end();
}
END_TEST

/* ---- Leases ---- */

START_TEST(a_lost_lease_is_taken_anew_with_its_keys)
{
    static struct peer other;
    int64_t former;

    begin_with_a_key(2);
    former = holder.lease;
    peer_open(&other, &cluster, 2);
    etcd_resume(other.etcd, former);
    etcd_revoke(other.etcd, 5000, on_ended, &other);
    await(shop_is_gone, 20, "the lease is not revoked");
    await(shop_is_there, 20, "the key does not come back");
    await(holder_has_another_lease, 5, "%u leases, %u keys", holder.leases, holder.helds);
    ck_assert(holder.lease != former);
    ck_assert_uint_eq(watcher.snapshots, 1);
    peer_close(&other);
    end();
}
END_TEST

START_TEST(a_lease_goes_on_in_another_process_and_nobody_hears_of_it)
{
    int64_t lease;
    unsigned puts;

    begin_with_a_key(2);
    lease = holder.lease;
    puts = watcher.puts;
    peer_close(&holder);
    peer_open(&holder, &cluster, 2);
    etcd_resume(holder.etcd, lease);
    peer_hold(&holder, "/p/a", "1");
    await(holder_has_put, 20, "the key is not held");
    run_for(3000); /* longer than the lease would last */
    ck_assert(shop_is_there());
    ck_assert(watcher.puts == puts && watcher.gones == 0);
    ck_assert(holder.leases == 0 && figures_of(&holder).lease == lease);
    /* The next one has another value, and a key less. */
    peer_hold(&holder, "/p/b", "1");
    peer_close(&holder);
    peer_open(&holder, &cluster, 2);
    etcd_resume(holder.etcd, lease);
    peer_hold(&holder, "/p/a", "2");
    await(shop_is_changed, 20, "the value does not change");
    end();
}
END_TEST

START_TEST(a_lease_that_is_not_there_any_more_is_followed_by_a_new_one)
{
    begin();
    peer_open(&watcher, &cluster, 2);
    peer_watch(&watcher, "/p/");
    peer_open(&holder, &cluster, 2);
    etcd_resume(holder.etcd, 1234567);
    peer_hold(&holder, "/p/a", "1");
    await(shop_is_there, 20, "the key does not come: %s", holder.trouble);
    ck_assert(holder.leases == 1 && holder.lease != 1234567);
    end();
}
END_TEST

START_TEST(a_key_that_somebody_has_deleted_is_put_again)
{
    begin_with_a_key(2);
    /* "/p/a" */
    ck_assert_ptr_nonnull(
        strstr(etcd_request(&cluster, 0, "/v3/kv/deleterange", "{\"key\":\"L3AvYQ==\"}"), " 200 "));
    await(shop_is_gone, 20, "it is not deleted");
    await(shop_is_there, 20, "it does not come back");
    ck_assert_msg(strstr(holder.trouble, "/p/a was deleted") != NULL, "%s", holder.trouble);
    ck_assert_uint_eq(holder.leases, 1);
    end();
}
END_TEST

/* What a member would do late: "/p/a" and "/p/b" under the holder's lease, with the value "1". */
static void put_late(const char *key)
{
    char body[128];

    snprintf(body, sizeof(body), "{\"key\":\"%s\",\"value\":\"MQ==\",\"lease\":\"%lld\"}", key,
             (long long)holder.lease);
    ck_assert_ptr_nonnull(strstr(etcd_request(&cluster, 0, "/v3/kv/put", body), " 200 "));
}

static bool stray_is_there(void)
{
    return has(&watcher, "/p/b", "1");
}

static bool stray_is_gone(void)
{
    return !has(&watcher, "/p/b", NULL);
}

START_TEST(a_put_that_is_done_late_does_not_stay)
{
    begin_with_a_key(2);
    kill(cluster.members[0].pid, SIGSTOP);
    peer_hold(&holder, "/p/a", "3"); /* without an answer */
    await(holder_is_alone, 20, "that is not noticed");
    peer_hold(&holder, "/p/a", "2");
    kill(cluster.members[0].pid, SIGCONT);
    await(shop_is_changed, 20, "the value does not change");
    put_late("L3AvYQ==");
    await(shop_is_there, 20, "the former value is not seen");
    await(shop_is_changed, 20, "the former value stays");
    put_late("L3AvYg==");
    await(stray_is_there, 20, "a key that nobody holds is not seen");
    await(stray_is_gone, 20, "a key that nobody holds stays");
    ck_assert(shop_is_changed());
    end();
}
END_TEST

START_TEST(a_revoked_lease_takes_its_keys_along_at_once)
{
    begin_with_a_key(60);
    etcd_revoke(holder.etcd, 5000, on_ended, &holder);
    ck_assert(!holder.ended);
    await(holder_has_ended, 20, "the end is not told");
    ck_assert(holder.ended_well && holder.lease == 0);
    await(shop_is_gone, 5, "the key does not go");
    /* It may begin again. */
    peer_hold(&holder, "/p/a", "1");
    await(shop_is_there, 20, "the key does not come");
    /* Where there is no etcd, the end comes by its time. */
    etcd_member_kill(&cluster, 0);
    holder.ended = false;
    etcd_revoke(holder.etcd, 300, on_ended, &holder);
    await(holder_has_ended, 20, "the end is not told");
    ck_assert(!holder.ended_well);
    end();
}
END_TEST

/* ---- The tests' own ---- */

static bool is_left_behind(const struct etcd_cluster *left)
{
    return access(left->folder, F_OK) == 0 || etcd_member_answers(left, 0);
}

START_TEST(a_test_that_is_killed_leaves_no_etcd_behind)
{
    etcd_needed();
    struct etcd_cluster *left =
        mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();
    if (pid == 0) {
        etcd_cluster_start(left);
        for (;;)
            pause();
    }
    for (int i = 0; i < 1500 && (left->members[0].pid == 0 || !etcd_member_answers(left, 0)); i++)
        usleep(20000);
    ck_assert(is_left_behind(left));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < 1000 && is_left_behind(left); i++)
        usleep(20000);
    ck_assert_msg(!is_left_behind(left), "%s", left->folder);
    munmap(left, sizeof(*left));
}
END_TEST

/* ---- A member that goes away ---- */

START_TEST(a_restarted_etcd_finds_its_lease_and_its_watchers_again)
{
    begin_with_a_key(5);
    etcd_member_kill(&cluster, 0);
    await(holder_is_alone, 20, "nobody notices");
    ck_assert_msg(strstr(watcher.why, cluster.urls[0]) != NULL, "%s", watcher.why);
    ck_assert(shop_is_there());
    etcd_member_start(&cluster, 0);
    await(holder_is_there, 30, "there is no contact: %s", holder.why);
    peer_hold(&holder, "/p/a", "2");
    await(shop_is_changed, 20, "the watch does not go on");
    ck_assert_uint_eq(watcher.snapshots, 1);
    ck_assert(watcher.gones == 0 && holder.leases == 1);
    end();
}
END_TEST

START_TEST(what_a_watch_has_missed_is_told_when_it_goes_on)
{
    begin_with_a_key(60);
    restart_member(); /* the loop does not run: nobody hears of what follows */
    etcd_request(&cluster, 0, "/v3/kv/put", "{\"key\":\"L3AvYg==\",\"value\":\"MQ==\"}");
    etcd_request(&cluster, 0, "/v3/kv/put", "{\"key\":\"L3AvYQ==\",\"value\":\"Mg==\"}");
    await(shop_is_changed, 20, "the watch does not go on");
    ck_assert(has(&watcher, "/p/b", "1"));
    ck_assert_uint_eq(watcher.snapshots, 1);
    end();
}
END_TEST

static bool second_snapshot_is_there(void)
{
    return watcher.snapshots == 2;
}

START_TEST(a_compacted_watch_reads_everything_again)
{
    begin_with_a_key(60);
    restart_member();
    etcd_request(&cluster, 0, "/v3/kv/deleterange", "{\"key\":\"L3AvYQ==\"}");
    etcd_request(&cluster, 0, "/v3/kv/put", "{\"key\":\"L3AvYg==\",\"value\":\"MQ==\"}");
    compact();
    await(second_snapshot_is_there, 20, "no second snapshot");
    ck_assert(has(&watcher, "/p/b", "1"));
    ck_assert(shop_is_gone());
    end();
}
END_TEST

static bool key_is_back_from_nothing(void)
{
    return watcher.snapshots >= 2 && holder.leases == 2 && shop_is_there();
}

START_TEST(another_etcd_in_its_place_gets_the_keys_and_is_read_anew)
{
    begin_with_a_key(3);
    for (int i = 0; i < 20; i++) /* so that the former revision is far ahead */
        etcd_request(&cluster, 0, "/v3/kv/put", "{\"key\":\"L3AvYg==\",\"value\":\"MQ==\"}");
    await(shop_is_there, 5, "it is not there");
    etcd_member_kill(&cluster, 0);
    etcd_member_forget(&cluster, 0);
    etcd_member_start(&cluster, 0);
    await(key_is_back_from_nothing, 40, "%u snapshots, %u leases", watcher.snapshots,
          holder.leases);
    ck_assert(!has(&watcher, "/p/b", NULL));
    end();
}
END_TEST

static bool only_b_is_there(void)
{
    return watcher.row_count == 1 && has(&watcher, "/p/b", "1");
}

START_TEST(another_etcd_is_noticed_although_it_has_as_many_revisions)
{
    begin();
    etcd_request(&cluster, 0, "/v3/kv/put", "{\"key\":\"L3AvYQ==\",\"value\":\"MQ==\"}");
    peer_open(&watcher, &cluster, 60);
    peer_watch(&watcher, "/p/");
    await(shop_is_there, 20, "the key does not come");
    etcd_member_kill(&cluster, 0);
    etcd_member_forget(&cluster, 0);
    etcd_member_start(&cluster, 0);
    etcd_member_wait(&cluster, 0);
    for (int i = 0; i < 30; i++) /* the loop does not run: nobody asks meanwhile */
        etcd_request(&cluster, 0, "/v3/kv/put", "{\"key\":\"L3AvYg==\",\"value\":\"MQ==\"}");
    await(only_b_is_there, 20, "it is not noticed: %u snapshots", watcher.snapshots);
    end();
}
END_TEST

START_TEST(a_stopped_member_is_noticed_and_welcome_again)
{
    begin_with_a_key(4);
    kill(cluster.members[0].pid, SIGSTOP);
    await(holder_is_alone, 20, "nobody notices");
    ck_assert(shop_is_there());
    kill(cluster.members[0].pid, SIGCONT);
    await(holder_is_there, 20, "there is no contact: %s", holder.why);
    peer_hold(&holder, "/p/a", "2");
    await(shop_is_changed, 20, "the watch does not go on");
    end();
}
END_TEST

static uint64_t requests_before;

static bool watcher_asks_again(void)
{
    return figures_of(&watcher).requests > requests_before;
}

START_TEST(what_is_missing_is_asked_for_with_pauses)
{
    begin_with_a_key(60);
    etcd_member_kill(&cluster, 0);
    await(holder_is_alone, 20, "nobody notices");
    requests_before = figures_of(&watcher).requests;
    await(watcher_asks_again, 20, "nobody asks any more");
    run_for(2000);
    requests_before = figures_of(&watcher).requests;
    run_for(4000);
    /* Two questions wait: a watch and a count. Pauses are a second and more by now. */
    ck_assert_uint_le(figures_of(&watcher).requests, requests_before + 10);
    end();
}
END_TEST

/* ---- Mistakes ---- */

static void refused(const char *url, const char *why)
{
    const char *urls[] = {url};
    const struct etcd_settings settings = {.urls = urls, .url_count = 1, .ttl_s = 10};
    struct error error;

    ck_assert_ptr_null(etcd_open(&loop, http(), &settings, &events, &holder, &error));
    ck_assert_msg(strstr(error.text, why) != NULL, "%s", error.text);
}

START_TEST(settings_that_make_no_sense_are_refused_with_a_reason)
{
    const char *urls[] = {"http://127.0.0.1:1"};
    struct etcd_settings settings = {.urls = urls, .url_count = 1, .ttl_s = 10};
    struct error error;
    char name[ETCD_PREFIX_MAX + 2];

    fixture_open();
    refused("127.0.0.1:2379", "http://HOST:PORT");
    refused("ftp://127.0.0.1", "is no URL of a member");
    refused("http://", "is no URL of a member");
    refused("http://user@host:1", "nothing else");
    refused("http://host:1/v3", "nothing else");
    settings.user = "a";
    ck_assert_ptr_null(etcd_open(&loop, http(), &settings, &events, &holder, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "needs a password"));
    settings.user = NULL;
    urls[0] = "https://127.0.0.1:1";
    settings.ca = "/nowhere/ca.pem";
    ck_assert_ptr_null(etcd_open(&loop, http(), &settings, &events, &holder, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "/nowhere/ca.pem"));
    settings.ca = "/proc/self/status";
    ck_assert_ptr_null(etcd_open(&loop, http(), &settings, &events, &holder, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "PEM"));
    settings.ca = NULL;
    settings.unverified = true;
    settings.cert = "/nowhere/cert.pem";
    ck_assert_ptr_null(etcd_open(&loop, http(), &settings, &events, &holder, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "its key"));
    settings.cert = NULL;
    peer_open_as(&holder, &settings);
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    ck_assert(!etcd_hold(holder.etcd, name, BYTES("1"), &error));
    ck_assert(!etcd_hold(holder.etcd, "", BYTES("1"), &error));
    ck_assert(!etcd_watch(holder.etcd, name, &error));
    peer_close(&holder);
    loop_free(&loop);
}
END_TEST

ETCD_MAIN("etcd", a_key_comes_changes_and_goes_and_watchers_hear_of_it,
          the_last_of_many_values_is_the_one_that_stays,
          a_large_prefix_is_read_in_pages_of_one_revision,
          large_values_come_in_fragments_and_one_that_is_too_large_is_told,
          a_lost_lease_is_taken_anew_with_its_keys,
          a_lease_goes_on_in_another_process_and_nobody_hears_of_it,
          a_lease_that_is_not_there_any_more_is_followed_by_a_new_one,
          a_key_that_somebody_has_deleted_is_put_again, a_put_that_is_done_late_does_not_stay,
          a_test_that_is_killed_leaves_no_etcd_behind, a_revoked_lease_takes_its_keys_along_at_once,
          a_restarted_etcd_finds_its_lease_and_its_watchers_again,
          what_a_watch_has_missed_is_told_when_it_goes_on, a_compacted_watch_reads_everything_again,
          another_etcd_in_its_place_gets_the_keys_and_is_read_anew,
          another_etcd_is_noticed_although_it_has_as_many_revisions,
          a_stopped_member_is_noticed_and_welcome_again, what_is_missing_is_asked_for_with_pauses,
          settings_that_make_no_sense_are_refused_with_a_reason)
