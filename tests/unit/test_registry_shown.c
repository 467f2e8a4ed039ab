/* What rpc.stats, metrics and pages show of the registry: see core/master/registry_shown.h. */
#include "unit.h"

#include <stdio.h>

#include "master/master.h"
#include "master/registry_shown.h"
#include "rpc/board.h"

static void tell(const char *name, unsigned servers)
{
    struct message message = {.type = MESSAGE_SERVICE, .number = servers, .serial = 1};

    snprintf(message.text, sizeof(message.text), "%s", name);
    registry_shown_service(&message);
}

static size_t shown_now(void)
{
    size_t count = 0;

    for (uint32_t i = 0; i < BOARD_SERVICES_MAX; i++)
        count += atomic_load(&master.board->registry.services[i].used);
    return count;
}

/* Also one of a master before an upgrade, which this one knows nothing of. */
START_TEST(only_services_that_are_wanted_are_shown)
{
    static const char *const wanted[] = {"registry:/p/", "registry:/p/shop"};

    struct error error;

    master.board = board_new(&error);
    ck_assert_msg(master.board != NULL, "%s", error.text);
    tell("registry:/p/", 2);
    tell("registry:/p/gone", 1);
    tell("registry:/p/shop", 1);
    ck_assert_uint_eq(shown_now(), 3);
    registry_shown_wanted(wanted, 2);
    ck_assert_uint_eq(shown_now(), 2);
    tell("registry:/p/shop", 3);
    ck_assert_uint_eq(shown_now(), 2);
    registry_shown_wanted(NULL, 0);
    ck_assert_uint_eq(shown_now(), 0);
}
END_TEST

UNIT_MAIN("registry_shown", only_services_that_are_wanted_are_shown)
