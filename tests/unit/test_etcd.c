/* The client of etcd against one real member. See test_etcd_members.c for several. */
#include "etcd_fixture.h"

static struct etcd_cluster cluster;
static struct peer holder, watcher;

static void begin(void)
{
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

static bool snapshot_is_there(void)
{
    return watcher.snapshots > 0;
}

static bool shop_is_there(void)
{
    return has(&watcher, "/p/shop/a", "1");
}

static bool shop_is_changed(void)
{
    return has(&watcher, "/p/shop/a", "2");
}

static bool shop_is_gone(void)
{
    return !has(&watcher, "/p/shop/a", NULL);
}

START_TEST(a_key_comes_changes_and_goes_and_watchers_hear_of_it)
{
    begin();
    peer_open(&watcher, &cluster, 10);
    peer_watch(&watcher, "/p/");
    await(snapshot_is_there, 20, "no snapshot: %s", watcher.trouble);
    ck_assert_uint_eq(watcher.row_count, 0);
    peer_open(&holder, &cluster, 10);
    peer_hold(&holder, "/p/shop/a", "1");
    await(shop_is_there, 20, "the key does not come: %s", holder.trouble);
    ck_assert(holder.lease != 0 && holder.there && watcher.there);
    peer_hold(&holder, "/p/shop/a", "2");
    await(shop_is_changed, 20, "the value does not change");
    etcd_unhold(holder.etcd, "/p/shop/a");
    await(shop_is_gone, 20, "the key does not go");
    ck_assert_uint_eq(watcher.snapshots, 1);
    ck_assert_str_eq(watcher.trouble, "");
    ck_assert_str_eq(holder.trouble, "");
    end();
}
END_TEST

UNIT_MAIN("etcd", a_key_comes_changes_and_goes_and_watchers_hear_of_it)
