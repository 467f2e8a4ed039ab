/* What the directory promises: see core/net/directory.h. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "must.h"
#include "net/directory.h"
#include "net/directory_format.h"

#define SHOP "registry:/pillion/shop"
#define SIZE (1u << 20)

static struct error error;

struct pair {
    int fd;
    struct directory *writer, *reader;
};

static struct directory *mapped(int fd, bool writes)
{
    struct directory *directory = directory_map(fd, writes, &error);
    ck_assert_msg(directory != NULL, "%s", error.text);
    return directory;
}

static struct pair pair_of(size_t size)
{
    struct pair pair = {.fd = directory_make(size, &error)};
    ck_assert_msg(pair.fd >= 0, "%s", error.text);
    pair.writer = mapped(pair.fd, true);
    pair.reader = mapped(pair.fd, false);
    return pair;
}

static void pair_end(struct pair *pair)
{
    directory_unmap(pair->writer);
    directory_unmap(pair->reader);
    close(pair->fd);
}

static void publish(const struct pair *pair, const struct directory_service *services, size_t count)
{
    must(directory_publish(pair->writer, services, count, &error));
}

static const struct directory_method shop_methods[] = {
    {"shop.buy", "{\"summary\":\"Buys\"}"}, {"shop.list", "{\"idempotent\":true}"}, {"ping", "{}"}};
static const struct directory_methods shop_sets[] = {{shop_methods, 2}, {shop_methods, 3}};

static struct directory_instance instance(const char *address, uint32_t methods)
{
    return (struct directory_instance){address, "/pillion/shop", 100, methods, 0};
}

static struct directory_service service(const char *name,
                                        const struct directory_instance *instances, size_t count)
{
    return (struct directory_service){name, true, instances, count, shop_sets, 2};
}

/* ---- Reading ---- */

START_TEST(what_was_published_is_read)
{
    const struct directory_instance two[] = {
        {"10.0.0.1:8080", "/pillion/shop", 100, 1, 0},
        {"unix:/run/x.sock", "/pillion/shop", 7, UINT32_MAX, 1790000000123},
    };
    const struct directory_service all[] = {service(SHOP, two, 2),
                                            {.name = "srv:_a._tcp.b", .known = false}};
    struct pair pair = pair_of(SIZE);
    uint64_t version;

    publish(&pair, all, 2);
    struct directory_service *read = directory_read(pair.reader, SHOP, &version);
    ck_assert_ptr_nonnull(read);
    ck_assert_str_eq(read->name, SHOP);
    ck_assert(read->known);
    ck_assert_uint_eq(read->count, 2);
    ck_assert_str_eq(read->instances[0].address, "10.0.0.1:8080");
    ck_assert_str_eq(read->instances[1].service, "/pillion/shop");
    ck_assert_uint_eq(read->instances[1].weight, 7);
    ck_assert_uint_eq(read->instances[0].methods, 1);
    ck_assert_uint_eq(read->instances[1].methods, UINT32_MAX);
    ck_assert_uint_eq(read->instances[1].since_ms, 1790000000123);
    ck_assert_uint_eq(read->set_count, 2);
    ck_assert_uint_eq(read->sets[0].count, 2);
    ck_assert_uint_eq(read->sets[1].count, 3);
    ck_assert_str_eq(read->sets[1].items[1].name, "shop.list");
    ck_assert_str_eq(read->sets[1].items[0].about, "{\"summary\":\"Buys\"}");
    free(read);

    read = directory_read(pair.reader, "srv:_a._tcp.b", NULL);
    ck_assert(!read->known);
    ck_assert_uint_eq(read->count, 0);
    free(read);
    pair_end(&pair);
}
END_TEST

START_TEST(a_service_that_nobody_has_published_is_not_there)
{
    struct pair pair = pair_of(SIZE);
    struct directory_service shop = service(SHOP, NULL, 0);
    uint32_t slot = 0;

    ck_assert_ptr_null(directory_read(pair.reader, SHOP, NULL));
    ck_assert_uint_eq(directory_version(pair.reader, SHOP, &slot), 0);
    publish(&pair, &shop, 1);
    ck_assert_ptr_null(directory_read(pair.reader, "registry:/pillion/", NULL));
    ck_assert_ptr_null(directory_read(pair.reader, SHOP "s", NULL));
    ck_assert_ptr_null(directory_read(pair.reader, "", NULL));
    ck_assert_uint_eq(directory_version(pair.reader, "", &slot), 0);
    pair_end(&pair);
}
END_TEST

START_TEST(lost_contact_is_told_beside_the_services)
{
    struct pair pair = pair_of(SIZE);

    ck_assert_uint_eq(directory_lost_since(pair.reader), 0);
    directory_contact(pair.writer, 12345);
    ck_assert_uint_eq(directory_lost_since(pair.reader), 12345);
    directory_contact(pair.writer, 0);
    ck_assert_uint_eq(directory_lost_since(pair.reader), 0);
    pair_end(&pair);
}
END_TEST

/* ---- Versions ---- */

START_TEST(a_version_is_raised_by_changes_of_its_own_service_alone)
{
    struct directory_instance one[] = {instance("10.0.0.1:1", 0)};
    struct directory_service all[] = {service(SHOP, one, 1), service("registry:/b", NULL, 0)};
    struct pair pair = pair_of(SIZE);
    uint32_t shop_slot = 0, slot = 0;
    uint64_t of_copy;

    publish(&pair, all, 2);
    uint64_t shop = directory_version(pair.reader, SHOP, &shop_slot);
    uint64_t other = directory_version(pair.reader, "registry:/b", &slot);
    ck_assert_uint_ne(shop, 0);
    ck_assert_uint_ne(other, 0);

    publish(&pair, all, 2); /* nothing has changed */
    ck_assert_uint_eq(directory_version(pair.reader, SHOP, &shop_slot), shop);

    one[0].weight = 50;
    publish(&pair, all, 2);
    uint64_t now = directory_version(pair.reader, SHOP, &shop_slot);
    ck_assert_uint_gt(now, shop);
    ck_assert_uint_eq(directory_version(pair.reader, "registry:/b", &slot), other);
    free(directory_read(pair.reader, SHOP, &of_copy));
    ck_assert_uint_eq(of_copy, now);
    pair_end(&pair);
}
END_TEST

START_TEST(a_version_is_zero_until_the_service_is_known)
{
    struct directory_service shop = service(SHOP, NULL, 0);
    struct pair pair = pair_of(SIZE);
    uint64_t of_copy = 9;
    uint32_t slot = 0;

    shop.known = false;
    publish(&pair, &shop, 1);
    ck_assert_uint_eq(directory_version(pair.reader, SHOP, &slot), 0);
    free(directory_read(pair.reader, SHOP, &of_copy));
    ck_assert_uint_eq(of_copy, 0);
    shop.known = true;
    publish(&pair, &shop, 1);
    ck_assert_uint_ne(directory_version(pair.reader, SHOP, &slot), 0);
    pair_end(&pair);
}
END_TEST

START_TEST(a_slot_is_never_that_of_another_service)
{
    struct directory_service shop = service(SHOP, NULL, 0);
    struct directory_service other = service("registry:/other", NULL, 0);
    struct pair pair = pair_of(SIZE);
    uint32_t slot = 0;
    uint64_t last = 0;

    for (int i = 0; i < 300; i++) { /* every slot comes up */
        publish(&pair, &shop, 1);
        uint64_t version = directory_version(pair.reader, SHOP, &slot);
        must(version > last);
        last = version;
        publish(&pair, &other, 1);
        must(directory_version(pair.reader, SHOP, &slot) == 0);
    }
    pair_end(&pair);
}
END_TEST

START_TEST(as_many_services_as_it_holds_may_all_be_replaced_at_once)
{
    static char names[2][DIRECTORY_SERVICES_MAX][32];
    struct directory_service all[2][DIRECTORY_SERVICES_MAX];
    struct pair pair = pair_of(SIZE);

    for (int k = 0; k < 2; k++) {
        for (unsigned i = 0; i < DIRECTORY_SERVICES_MAX; i++) {
            snprintf(names[k][i], sizeof(names[k][i]), "registry:/%d/%u", k, i);
            all[k][i] = service(names[k][i], NULL, 0);
        }
    }
    for (int round = 0; round < 6; round++) {
        publish(&pair, all[round % 2], DIRECTORY_SERVICES_MAX);
        for (unsigned i = 0; i < DIRECTORY_SERVICES_MAX; i++) {
            uint32_t slot = 0, former = 0;
            must(directory_version(pair.reader, names[round % 2][i], &slot) != 0);
            must(directory_version(pair.reader, names[1 - round % 2][i], &former) == 0);
        }
    }
    pair_end(&pair);
}
END_TEST

/* ---- What does not fit ---- */

START_TEST(what_does_not_fit_leaves_what_was_there)
{
    static struct directory_instance many[20000];
    static struct directory_service services[DIRECTORY_SERVICES_MAX + 1];
    struct directory_instance one[] = {instance("10.0.0.1:1", 0)};
    struct directory_service shop = service(SHOP, one, 1);
    struct pair pair = pair_of(SIZE);

    publish(&pair, &shop, 1);
    for (size_t i = 0; i < 20000; i++)
        many[i] = instance("10.0.0.1:8080", 0);
    struct directory_service large = service(SHOP, many, 20000);
    ck_assert(!directory_publish(pair.writer, &large, 1, &error));
    ck_assert_msg(strstr(error.text, "has room for") != NULL, "%s", error.text);
    for (size_t i = 0; i <= DIRECTORY_SERVICES_MAX; i++)
        services[i] = service(SHOP, NULL, 0);
    ck_assert(!directory_publish(pair.writer, services, DIRECTORY_SERVICES_MAX + 1, &error));
    ck_assert_str_eq(error.text, "the directory has room for 128 services, and these are 129");
    ck_assert(!directory_publish(pair.writer, services, 2, &error));
    ck_assert_str_eq(error.text, "the service \"" SHOP "\" is there twice");

    struct directory_service *read = directory_read(pair.reader, SHOP, NULL);
    ck_assert_uint_eq(read->count, 1);
    free(read);
    pair_end(&pair);
}
END_TEST

START_TEST(names_have_a_length)
{
    char name[DIRECTORY_NAME_MAX + 1];
    struct directory_service shop = service(name, NULL, 0);
    struct pair pair = pair_of(SIZE);
    uint32_t slot = 0;

    memset(name, 'x', sizeof(name));
    name[DIRECTORY_NAME_MAX] = '\0';
    ck_assert(!directory_publish(pair.writer, &shop, 1, &error));
    ck_assert_msg(strncmp(error.text, "a service's name has 1 to 255 bytes", 35) == 0, "%s",
                  error.text);
    name[DIRECTORY_NAME_MAX - 1] = '\0';
    publish(&pair, &shop, 1);
    ck_assert_uint_ne(directory_version(pair.reader, name, &slot), 0);
    name[0] = '\0';
    ck_assert(!directory_publish(pair.writer, &shop, 1, &error));
    pair_end(&pair);
}
END_TEST

/* ---- The memory ---- */

START_TEST(a_reader_cannot_write_and_nobody_can_resize_it)
{
    struct pair pair = pair_of(SIZE);

    if (access("/proc/self/fd", F_OK) == 0) {
        ck_assert_int_eq(mprotect(pair.reader->head, 4096, PROT_READ | PROT_WRITE), -1);
        ck_assert_int_eq(errno, EACCES);
    }
    ck_assert_int_eq(ftruncate(pair.fd, 0), -1);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(ftruncate(pair.fd, 2 * SIZE), -1);
    ck_assert_int_eq(fcntl(pair.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    pair_end(&pair);
}
END_TEST

START_TEST(a_large_directory_costs_what_is_in_it)
{
    struct directory_service shop = service(SHOP, NULL, 0);
    struct pair pair = pair_of((size_t)1 << 30);
    struct stat status;

    publish(&pair, &shop, 1);
    publish(&pair, &shop, 1);
    ck_assert_int_eq(fstat(pair.fd, &status), 0);
    ck_assert_int_le(status.st_blocks * 512, 512 << 10);
    pair_end(&pair);
}
END_TEST

START_TEST(what_is_no_directory_is_not_mapped)
{
    uint32_t layout = DIRECTORY_LAYOUT + 1;
    int fd = memfd_create("x", 0);

    ck_assert_int_lt(directory_make(1000, &error), 0);
    ck_assert_msg(strstr(error.text, "needs more than") != NULL, "%s", error.text);
    ck_assert_ptr_null(directory_map(fd, false, &error));
    ck_assert_int_eq(ftruncate(fd, SIZE), 0);
    ck_assert_ptr_null(directory_map(fd, false, &error));
    close(fd);
    ck_assert_ptr_null(directory_map(fd, false, &error));
    struct pair pair = pair_of(SIZE);
    ck_assert_int_eq(pwrite(pair.fd, &layout, sizeof(layout), 4), sizeof(layout));
    ck_assert_ptr_null(directory_map(pair.fd, true, &error));
    ck_assert_str_eq(error.text, "the directory of services is none that this binary can read");
    pair_end(&pair);
}
END_TEST

/* ---- A writer beside readers ---- */

/* Services of which every publication has other instances: as many as its number says, and each
 * says it. */
static void publish_round(struct directory *writer, uint32_t round)
{
    char addresses[64][32];
    struct directory_instance instances[64];
    struct directory_service both[2];
    uint32_t count = 1 + round % 64;

    for (uint32_t i = 0; i < count; i++) {
        snprintf(addresses[i], sizeof(addresses[i]), "10.0.0.1:%u", round);
        instances[i] = (struct directory_instance){addresses[i], "/s", 1 + round % 1000, 0, round};
    }
    both[0] = service(SHOP, instances, count);
    both[1] = service("registry:/b", instances, count);
    must(directory_publish(writer, both, 2, &error));
}

static void check_whole(const struct directory_service *read)
{
    must(read->count > 0);
    uint64_t round = read->instances[0].since_ms;
    must(read->count == 1 + round % 64);
    for (size_t i = 0; i < read->count; i++) {
        must(read->instances[i].since_ms == round);
        must(read->instances[i].weight == 1 + round % 1000);
        must((uint64_t)strtoul(read->instances[i].address + 9, NULL, 10) == round);
    }
}

static pid_t writer_begun(const struct pair *pair, uint32_t from)
{
    pid_t pid = fork();

    if (pid == 0) {
        for (uint32_t round = from;; round++)
            publish_round(pair->writer, round);
    }
    must(pid > 0);
    return pid;
}

START_TEST(a_read_is_never_torn)
{
    struct pair pair = pair_of(SIZE);
    uint64_t last = 0, changes = 0;
    uint32_t slot = 0;

    publish_round(pair.writer, 1);
    pid_t pid = writer_begun(&pair, 2);
    for (int i = 0; i < 20000 || changes < 100; i++) {
        uint64_t version, told = directory_version(pair.reader, SHOP, &slot);
        struct directory_service *read = directory_read(pair.reader, SHOP, &version);
        if (read == NULL) /* the writer was faster a thousand times */
            continue;
        check_whole(read);
        must(version >= told); /* a copy is never older than the version that made it wanted */
        must(version >= last);
        changes += version != last;
        last = version;
        free(read);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    pair_end(&pair);
}
END_TEST

/* Wherever it is killed: the next writer goes on, and readers see it. */
START_TEST(a_writer_that_dies_leaves_what_was_there)
{
    struct pair pair = pair_of(SIZE);
    uint32_t slot = 0, round = 1;

    publish_round(pair.writer, round);
    for (int i = 0; i < 200; i++) {
        pid_t pid = writer_begun(&pair, ++round);
        usleep(random_below(800));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        struct directory_service *read = directory_read(pair.reader, SHOP, NULL);
        must(read != NULL);
        check_whole(read);
        round = (uint32_t)read->instances[0].since_ms;
        free(read);
        uint64_t before = directory_version(pair.reader, SHOP, &slot);
        publish_round(pair.writer, ++round);
        must(directory_version(pair.reader, SHOP, &slot) > before);
    }
    pair_end(&pair);
}
END_TEST

/* The same without luck: all that a writer does before it publishes is done, and then it is gone.
 */
START_TEST(what_was_begun_and_never_published_is_not_seen)
{
    struct pair pair = pair_of(SIZE);
    uint64_t version, then;
    uint32_t slot = 0;

    publish_round(pair.writer, 1);
    publish_round(pair.writer, 2);
    free(directory_read(pair.reader, SHOP, &version));
    atomic_store(&pair.writer->head->begun, 3);
    memset(directory_half_of(pair.writer, 3), 0xee, pair.writer->half_size);
    struct directory_service *read = directory_read(pair.reader, SHOP, &then);
    check_whole(read);
    ck_assert_uint_eq(read->instances[0].since_ms, 2);
    ck_assert_uint_eq(version, then);
    free(read);
    publish_round(pair.writer, 3);
    read = directory_read(pair.reader, SHOP, NULL);
    check_whole(read);
    free(read);
    ck_assert_uint_gt(directory_version(pair.reader, SHOP, &slot), version);
    pair_end(&pair);
}
END_TEST

/* ---- Damage ---- */

static void look_at_all(const struct directory_service *read)
{
    size_t sum = 0;

    for (size_t i = 0; i < read->count; i++) {
        const struct directory_instance *it = &read->instances[i];
        sum += strlen(it->address) + strlen(it->service);
        must(it->weight >= 1 && it->weight <= 1000);
        must(it->methods == UINT32_MAX || it->methods < read->set_count);
    }
    for (size_t i = 0; i < read->set_count; i++) {
        for (size_t k = 0; k < read->sets[i].count; k++)
            sum += strlen(read->sets[i].items[k].name) + strlen(read->sets[i].items[k].about);
    }
    must(sum < SIZE);
}

/* Every word of what is published, once with each of some bad values. */
START_TEST(no_damage_leads_a_reader_outside)
{
    static const uint32_t bad[] = {0, 1, 8, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff};
    struct directory_instance two[] = {instance("10.0.0.1:1", 0), instance("10.0.0.2:1", 1)};
    struct directory_service shop = service(SHOP, two, 2);
    struct pair pair = pair_of(SIZE);
    unsigned refused = 0;

    publish(&pair, &shop, 1);
    struct directory_half *half = directory_half_of(pair.writer, 1);
    uint32_t *record = (void *)((char *)half + half->entries[0].at);
    uint32_t *const parts[][2] = {
        {(uint32_t *)half, (uint32_t *)(half->entries + 1)},
        {record, record + half->entries[0].size / 4},
    };
    for (size_t part = 0; part < 2; part++) {
        for (uint32_t *word = parts[part][0]; word < parts[part][1]; word++) {
            const uint32_t was = *word;
            for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                *word = bad[i];
                struct directory_service *read = directory_read(pair.reader, SHOP, NULL);
                if (read != NULL)
                    look_at_all(read);
                refused += read == NULL;
                free(read);
            }
            *word = was;
        }
    }
    ck_assert_uint_gt(refused, 50);
    pair_end(&pair);
}
END_TEST

UNIT_MAIN("directory", what_was_published_is_read, a_service_that_nobody_has_published_is_not_there,
          lost_contact_is_told_beside_the_services,
          a_version_is_raised_by_changes_of_its_own_service_alone,
          a_version_is_zero_until_the_service_is_known, a_slot_is_never_that_of_another_service,
          as_many_services_as_it_holds_may_all_be_replaced_at_once,
          what_does_not_fit_leaves_what_was_there, names_have_a_length,
          a_reader_cannot_write_and_nobody_can_resize_it, a_large_directory_costs_what_is_in_it,
          what_is_no_directory_is_not_mapped, a_read_is_never_torn,
          a_writer_that_dies_leaves_what_was_there, what_was_begun_and_never_published_is_not_seen,
          no_damage_leads_a_reader_outside)
