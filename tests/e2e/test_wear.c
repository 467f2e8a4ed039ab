/* Workers that wear out: each is replaced, and no client notices. */
#include "harness.h"

#include <string.h>
#include <unistd.h>

/* The only worker; 0 while another one is there, too. */
static pid_t only_worker(const struct server *server)
{
    pid_t pids[4];
    return server_workers(server, pids, 4) == 1 ? pids[0] : 0;
}

static void wait_replaced(const struct server *server, pid_t was)
{
    pid_t now = 0;
    wait_until((now = only_worker(server)) != 0 && now != was, "the worker is still there");
}

START_TEST(the_memory_of_each_worker_is_told)
{
    struct server *server = server_serve("load_module modules/belongs.so;", "method ping;");
    const cJSON *workers = cJSON_GetObjectItem(server_stats(server), "workers");

    ck_assert_int_eq(cJSON_GetArraySize(workers), 2);
    for (int i = 0; i < 2; i++) {
        const cJSON *worker = cJSON_GetArrayItem(workers, i);
        double rss = cJSON_GetNumberValue(cJSON_GetObjectItem(worker, "rss_bytes"));
        double own = cJSON_GetNumberValue(cJSON_GetObjectItem(worker, "private_bytes"));
        ck_assert_double_gt(own, 65536);
        ck_assert_double_ge(rss, own);
    }
}
END_TEST

START_TEST(a_worker_is_replaced_after_so_many_requests)
{
    struct server *server =
        server_serve_alone("load_module modules/later.so; worker_max_requests 300;",
                           "method ping; method hold; method let_go;");
    int client = client_connect(server), waiting = client_connect(server);
    pid_t first = only_worker(server);

    client_send_frame(waiting, "{\"in\":\"hold\",\"params\":{\"key\":1,\"timeout\":5000}}");
    for (int i = 0; i < 300; i++)
        client_expect_alive(client);
    server_wait_log(server, "is worn out (worker_max_requests, worker_max_memory): another one");
    /* The request that waits keeps its worker, and every client goes on. */
    for (int i = 0; i < 10; i++)
        client_expect_alive(client);
    client_expect_error(waiting, "timeout");
    wait_until(!process_lives(first), "the worn worker is still there");
    wait_replaced(server, first);
    client_expect_alive(client);
    client_expect_alive(waiting);
    ck_assert_double_eq(server_stat(server, "crashes"), 0);
}
END_TEST

START_TEST(a_worker_is_replaced_when_it_has_grown)
{
    struct server *server = server_serve_alone(
        "load_module modules/belongs.so; worker_max_memory 256m;", "method ping; method grow;");
    int client = client_connect(server);
    pid_t first = only_worker(server);

    client_call(client, "grow", "100000000");
    client_expect_alive(client);
    ck_assert(!server_logged(server, "is worn out"));
    client_call(client, "grow", "200000000");
    server_wait_log(server, "is worn out");
    wait_replaced(server, first);
    client_expect_alive(client);
    ck_assert_double_eq(server_stat(server, "crashes"), 0);
}
END_TEST

START_TEST(a_limit_that_no_worker_can_keep_is_told_and_not_heeded)
{
    struct server *server = server_serve_alone("worker_max_memory 1k;", "method ping;");
    int client = client_connect(server);

    server_wait_log(server, "worker_max_memory allows 1024: the limit is not heeded");
    client_expect_alive(client);
    ck_assert(!server_logged(server, "is worn out"));
}
END_TEST

E2E_MAIN("wear", the_memory_of_each_worker_is_told, a_worker_is_replaced_after_so_many_requests,
         a_worker_is_replaced_when_it_has_grown,
         a_limit_that_no_worker_can_keep_is_told_and_not_heeded)
