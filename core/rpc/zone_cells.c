/* The lock of a zone. See zone_cells.h. */
#include "rpc/zone_cells.h"

#include <errno.h>

#include "base/log_seldom.h"

/* A worker that dies within a change leaves nothing half linked: cells are whole, or free. */
bool zone_lock(pillion_zone *zone)
{
    int error = pthread_mutex_lock(&zone->threads);

    if (error == EDEADLK) {
        log_seldom(LOG_ERROR_LEVEL, zone,
                   "a module uses the zone \"%s\" from within pillion_zone_update", zone->name);
        return false;
    }
    shared_lock_take(zone->lock);
    return true;
}

void zone_unlock(pillion_zone *zone)
{
    shared_lock_give(zone->lock);
    pthread_mutex_unlock(&zone->threads);
}
