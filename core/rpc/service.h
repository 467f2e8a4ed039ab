/* Services, as the modules of a process see them: what pillion_service_open and its kin do. The
 * servers themselves are in the directory (net/directory.h), which another process writes. */
#ifndef PILLION_RPC_SERVICE_H
#define PILLION_RPC_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "net/directory.h"
#include "rpc/instance.h"

/* Where the services of this process come from. */
struct service_source {
    const struct directory *directory; /* NULL: there is none, so no service is ever known */
    bool registry;                     /* the configuration has a `registry` */
    void (*want)(const char *name);    /* has a service looked for; NULL: nobody does */
    /* Whether DNS can be asked, or the reason why not. For a check; NULL: it can. */
    bool (*dns)(struct error *error);
};

/* Before modules start. */
void services_begin(const struct service_source *source);

/* What pillion_service_open does: opens the service, or only looks at the name where no loop runs
 * that could call `changed`. The reason when it returns NULL. It is never freed, since its module
 * may have a pointer to it. */
pillion_service *service_open(pillion_instance *self, const char *name,
                              void (*changed)(pillion_instance *self, void *data), void *data,
                              struct error *error);

/* What pillion_service_version and pillion_service_each do. */
uint64_t service_version(pillion_service *service);
void service_each(pillion_service *service, const char *method,
                  bool (*each)(const pillion_service_server *server, void *data), void *data);

#endif
