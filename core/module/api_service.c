/* The functions of <pillion/module.h> for services. See api.c. */
#include <pillion/module.h>

#include "base/service_name.h"
#include "module/api_loop.h"
#include "rpc/note.h"
#include "rpc/service.h"

PILLION_EXPORT bool pillion_service_is(const char *name)
{
    return name != NULL && service_name_is(name);
}

PILLION_EXPORT pillion_service *pillion_service_open(pillion_instance *self, const char *name,
                                                     void (*changed)(pillion_instance *self,
                                                                     void *data),
                                                     void *data, pillion_error_text *error)
{
    struct error why = {.text = "a service may be opened on the worker's loop alone"};
    pillion_service *service = NULL;

    if (on_loop(__func__) && name == NULL)
        error_set(&why, "a service has a name: registry:PATH or srv:NAME");
    else if (on_loop(__func__))
        service = service_open(self, name, changed, data, &why);
    if (service == NULL && error != NULL)
        pillion_error(error, "%s", why.text);
    return service;
}

PILLION_EXPORT uint64_t pillion_service_version(pillion_service *service)
{
    return on_loop(__func__) ? service_version(service) : 0;
}

PILLION_EXPORT void
pillion_service_each(pillion_service *service, const char *method,
                     bool (*each)(const pillion_service_server *server, void *data), void *data)
{
    if (!on_loop(__func__))
        return;
    if (each == NULL)
        note_misuse(__func__, "without a function to call");
    else
        service_each(service, method, each, data);
}
