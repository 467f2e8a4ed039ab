/* The services of a trial. See test_services.h. */
#include "module/test_services.h"

#include <pillion/module.h>
#include <pillion/test.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/service_name.h"
#include "net/address.h"

#define TEST_DIRECTORY ((size_t)16 << 20)
#define WEIGHT_MAX     1000u

/* Made once, since modules stay loaded that know it. */
static struct {
    struct directory *directory;
    char *names[DIRECTORY_SERVICES_MAX];
    size_t count;
} services;

const struct directory *test_services(void)
{
    struct error error;
    int fd;

    if (services.directory == NULL && (fd = directory_make(TEST_DIRECTORY, &error)) >= 0) {
        services.directory = directory_map(fd, true, &error);
        close(fd);
    }
    return services.directory;
}

void test_services_end(void)
{
    struct error error;

    if (services.count > 0)
        directory_publish(services.directory, NULL, 0, &error);
    while (services.count > 0)
        free(services.names[--services.count]);
}

/* ---- One service ---- */

/* Each server has a set of methods of its own: tests have few. */
static void fill_set(const char *const *methods, struct directory_methods *set, struct pool *pool)
{
    size_t count = 0;

    while (methods[count] != NULL)
        count++;
    struct directory_method *items = pool_must_zalloc(pool, (count + 1) * sizeof(*items));
    for (size_t i = 0; i < count; i++)
        items[i] = (struct directory_method){methods[i], "{}"};
    *set = (struct directory_methods){items, count};
}

static struct directory_service service_of(const char *name, const pillion_test_server *servers,
                                           size_t count, struct pool *pool)
{
    struct directory_instance *instances = pool_must_zalloc(pool, (count + 1) * sizeof(*instances));
    struct directory_methods *sets = pool_must_zalloc(pool, (count + 1) * sizeof(*sets));
    const uint64_t now_ms = clock_wall_ms();
    size_t set_count = 0;

    for (size_t i = 0; i < count; i++) {
        const pillion_test_server *it = &servers[i];
        instances[i] = (struct directory_instance){
            .address = it->address,
            .service = service_name_is_registered(name) ? strchr(name, '/') : "",
            .weight = it->weight == 0 ? 100 : it->weight,
            .methods = it->methods == NULL ? UINT32_MAX : (uint32_t)set_count,
            .since_ms = it->age_ms > now_ms ? 0 : now_ms - it->age_ms,
        };
        if (it->methods != NULL)
            fill_set(it->methods, &sets[set_count++], pool);
    }
    return (struct directory_service){name, true, instances, count, sets, set_count};
}

/* As a registry would take it. */
static bool server_check(const pillion_test_server *server, struct error *error)
{
    if (server->address == NULL || !address_is_whole(server->address))
        return error_set(error,
                         "the address of a server is as 10.0.0.1:8080, [::1]:8080 or unix:/PATH "
                         "are, not \"%s\"",
                         server->address == NULL ? "" : server->address);
    if (server->weight > WEIGHT_MAX)
        return error_set(error, "the weight of %s is from 1 to %u, or 0 for 100", server->address,
                         WEIGHT_MAX);
    return true;
}

/* ---- All of them ---- */

/* Publishes them with `now` in the place of the one of that name. */
static bool publish(const struct directory_service *now, struct error *error)
{
    struct directory_service *read[DIRECTORY_SERVICES_MAX], all[DIRECTORY_SERVICES_MAX];
    size_t count = 0;

    for (size_t i = 0; i < services.count; i++) {
        bool other = strcmp(services.names[i], now->name) != 0;
        read[i] = other ? directory_read(services.directory, services.names[i], NULL) : NULL;
        if (read[i] != NULL)
            all[count++] = *read[i];
    }
    all[count++] = *now;
    bool good = directory_publish(services.directory, all, count, error);
    for (size_t i = 0; i < services.count; i++)
        free(read[i]);
    return good;
}

/* Notes the name. False when there are too many. */
static bool note(const char *name)
{
    for (size_t i = 0; i < services.count; i++) {
        if (strcmp(services.names[i], name) == 0)
            return true;
    }
    if (services.count == DIRECTORY_SERVICES_MAX)
        return false;
    services.names[services.count++] = must_strdup(name);
    return true;
}

PILLION_EXPORT const char *pillion_test_service(const char *name,
                                                const pillion_test_server *servers, size_t count)
{
    static struct error error;
    struct pool pool = {0};

    if (!service_name_check(name, &error))
        return error.text;
    for (size_t i = 0; i < count; i++) {
        if (!server_check(&servers[i], &error))
            return error.text;
    }
    if (test_services() == NULL || !note(name))
        return "there is no memory for another service";
    const struct directory_service now = service_of(name, servers, count, &pool);
    bool good = publish(&now, &error);
    pool_free(&pool);
    return good ? NULL : error.text;
}
