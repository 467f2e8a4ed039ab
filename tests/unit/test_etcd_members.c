/* The client of etcd against three real members, of which some die, hang, or are alone. */
#include "etcd_fixture.h"

static struct etcd_cluster cluster;
static struct peer holder, watcher;
static char wanted[16];

static bool both_are_ready(void)
{
    return watcher.snapshots > 0 && holder.helds > 0 && has(&watcher, "/p/a", "1");
}

static bool wanted_is_there(void)
{
    return has(&watcher, "/p/a", wanted);
}

static bool both_are_alone(void)
{
    return !holder.there && !watcher.there;
}

static bool both_are_back(void)
{
    return holder.there && watcher.there;
}

static void begin(uint32_t ttl_s)
{
    etcd_needed();
    cluster = (struct etcd_cluster){.count = 3};
    etcd_cluster_start(&cluster);
    etcd_cluster_wait(&cluster);
    fixture_open();
    peer_open(&watcher, &cluster, ttl_s);
    peer_watch(&watcher, "/p/");
    peer_open(&holder, &cluster, ttl_s);
    peer_hold(&holder, "/p/a", "1");
    await(both_are_ready, 30, "nothing comes: %s %s", watcher.trouble, holder.trouble);
}

static void end(void)
{
    peer_close(&holder);
    peer_close(&watcher);
    loop_free(&loop);
    etcd_cluster_end(&cluster);
}

static int member_of(const struct peer *peer)
{
    const char *url = figures_of(peer).member;

    for (int i = 0; i < cluster.count; i++) {
        if (strcmp(cluster.urls[i], url) == 0)
            return i;
    }
    ck_abort_msg("%s is no member", url);
}

/* The member that leads the others, as member `at` knows it. */
static int leader(void)
{
    char ids[ETCD_MEMBERS_MAX][32], leader[32] = "";

    for (int i = 0; i < cluster.count; i++) {
        const char *answer = etcd_request(&cluster, i, "/v3/maintenance/status", "{}");
        snprintf(ids[i], sizeof(ids[i]), "%s", etcd_answer_text(answer, "member_id"));
        snprintf(leader, sizeof(leader), "%s", etcd_answer_text(answer, "leader"));
    }
    for (int i = 0; i < cluster.count; i++) {
        if (strcmp(ids[i], leader) == 0)
            return i;
    }
    ck_abort_msg("nobody leads");
}

/* What is held is changed, and the watcher hears of it; the lease is the first one still. */
static void still_works(const char *value)
{
    snprintf(wanted, sizeof(wanted), "%s", value);
    peer_hold(&holder, "/p/a", value);
    await(wanted_is_there, 30, "\"%s\" does not come: %s; %s", value, holder.why, watcher.why);
    ck_assert_msg(holder.leases == 1, "%u leases", holder.leases);
    ck_assert_uint_eq(watcher.snapshots, 1);
    ck_assert_uint_eq(watcher.gones, 0);
}

START_TEST(a_killed_member_costs_neither_the_lease_nor_a_change)
{
    begin(6);
    etcd_member_kill(&cluster, member_of(&holder));
    still_works("2");
    end();
}
END_TEST

START_TEST(a_stopped_member_costs_neither_the_lease_nor_a_change)
{
    int stopped;

    begin(6);
    stopped = member_of(&watcher);
    kill(cluster.members[stopped].pid, SIGSTOP);
    still_works("2");
    ck_assert_int_ne(member_of(&watcher), stopped);
    ck_assert_uint_ge(figures_of(&watcher).moves, 1);
    ck_assert_uint_eq(watcher.lost_contacts, 0); /* others have answered */
    run_for(8000);                               /* longer than the lease would last */
    still_works("3");
    kill(cluster.members[stopped].pid, SIGCONT);
    end();
}
END_TEST

START_TEST(a_killed_leader_costs_neither_the_lease_nor_a_change)
{
    begin(6);
    etcd_member_kill(&cluster, leader());
    still_works("2");
    run_for(8000);
    still_works("3");
    end();
}
END_TEST

START_TEST(a_member_without_the_others_is_noticed_although_it_answers)
{
    struct etcd_settings settings = settings_of(&cluster, 6);
    static struct peer one;
    int alone;

    begin(6);
    alone = member_of(&watcher);
    settings.urls = &cluster.urls[alone];
    settings.url_count = 1;
    peer_open_as(&one, &settings);
    peer_watch(&one, "/p/");
    for (int i = 0; i < 3; i++) {
        if (i != alone)
            kill(cluster.members[i].pid, SIGSTOP);
    }
    await(both_are_alone, 30, "nobody notices");
    ck_assert(!one.there || (run_for(5000), !one.there));
    ck_assert_msg(strstr(one.why, "no leader") != NULL || strstr(one.why, "imed out") != NULL, "%s",
                  one.why);
    for (int i = 0; i < 3; i++) {
        if (i != alone)
            kill(cluster.members[i].pid, SIGCONT);
    }
    await(both_are_back, 30, "nobody comes back: %s", holder.why);
    snprintf(wanted, sizeof(wanted), "4");
    peer_hold(&holder, "/p/a", "4");
    await(wanted_is_there, 30, "the change does not come");
    peer_close(&one);
    end();
}
END_TEST

static bool members_are_other(void)
{
    return both_are_back() && wanted_is_there();
}

START_TEST(a_member_that_is_removed_is_left_for_another)
{
    bool is_done = false;
    char body[64];
    int removed;

    begin(6);
    removed = member_of(&watcher);
    snprintf(body, sizeof(body), "{\"ID\":\"%s\"}",
             etcd_answer_text(etcd_request(&cluster, removed, "/v3/maintenance/status", "{}"),
                              "member_id"));
    /* etcd refuses while members have known each other for less than five seconds. */
    for (int i = 0; i < 300 && !is_done; i++) {
        is_done =
            strstr(etcd_request(&cluster, (removed + 1) % 3, "/v3/cluster/member/remove", body),
                   " 200 ") != NULL;
        run_for(100);
    }
    ck_assert(is_done);
    still_works("2");
    await(members_are_other, 30, "it is not left");
    end();
}
END_TEST

START_TEST(members_that_do_not_exist_are_passed_over)
{
    static struct peer other;
    const char *urls[] = {"http://127.0.0.1:1", "http://no-such-host.invalid:2379", NULL,
                          "http://127.0.0.1:2"};
    struct etcd_settings settings = {.urls = urls, .url_count = 4, .ttl_s = 10};

    begin(10);
    urls[2] = cluster.urls[0];
    peer_open_as(&other, &settings);
    peer_hold(&other, "/p/a", "7");
    snprintf(wanted, sizeof(wanted), "7");
    await(wanted_is_there, 60, "it does not come: %s", other.why);
    peer_close(&other);
    end();
}
END_TEST

ETCD_MAIN("etcd members", a_killed_member_costs_neither_the_lease_nor_a_change,
          a_stopped_member_costs_neither_the_lease_nor_a_change,
          a_killed_leader_costs_neither_the_lease_nor_a_change,
          a_member_without_the_others_is_noticed_although_it_answers,
          a_member_that_is_removed_is_left_for_another, members_that_do_not_exist_are_passed_over)
