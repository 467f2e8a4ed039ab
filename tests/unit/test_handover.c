/* The rules by which connections are handed over (core/master/handover.c), with workers, vaults and
 * a generation that are only tables: what handover.c asks and tells is wrapped by the linker
 * (tests.mk). */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "master/blame.h"
#include "master/handover.h"
#include "master/vaults.h"
#include "worker_table.h"

/* ---- Fakes ---- */

static struct {
    const struct worker *to;
    struct message message;
} offers[16];
static uint32_t offer_count;

static uint32_t retired[16], retired_count; /* serials in the RETIRE messages to the vaults */
static uint32_t taken;                      /* number of TAKEN messages to workers */
static bool no_descriptor;

struct worker *__wrap_worker_of_slot(uint32_t slot);
struct worker *__wrap_worker_of_slot(uint32_t slot)
{
    for (uint32_t i = 0; i < worker_count; i++) {
        if (table[i].slot == slot && table[i].life == WORKER_SERVING && table[i].generation == &now)
            return &table[i];
    }
    return NULL;
}

void __wrap_worker_blame(const struct worker *worker, struct blame *blame);
void __wrap_worker_blame(const struct worker *worker, struct blame *blame)
{
    (void)worker;
    *blame = (struct blame){.method = BOARD_NO_METHOD, .marked = true};
}

bool __wrap_outbox_send(struct outbox *outbox, const struct message *message, int fd);
bool __wrap_outbox_send(struct outbox *outbox, const struct message *message, int fd)
{
    ck_assert_int_ge(fd, 0);
    offers[offer_count].to = container_of(outbox, struct worker, out);
    offers[offer_count++].message = *message;
    return true;
}

bool __wrap_outbox_tell(struct outbox *outbox, enum message_type type, uint64_t serial,
                        uint64_t number);
bool __wrap_outbox_tell(struct outbox *outbox, enum message_type type, uint64_t serial,
                        uint64_t number)
{
    (void)outbox;
    (void)type;
    (void)serial;
    (void)number;
    return true;
}

bool __wrap_channel_tell(int channel, enum message_type type, uint64_t serial, uint64_t number);
bool __wrap_channel_tell(int channel, enum message_type type, uint64_t serial, uint64_t number)
{
    (void)channel;
    (void)serial;
    (void)number;
    taken += type == MESSAGE_TAKEN;
    return true;
}

void __wrap_vaults_tell(enum message_type type, uint32_t serial);
void __wrap_vaults_tell(enum message_type type, uint32_t serial)
{
    ck_assert_int_eq(type, MESSAGE_RETIRE);
    retired[retired_count++] = serial;
}

int __real_fcntl(int fd, int command, long value);
int __wrap_fcntl(int fd, int command, long value);
int __wrap_fcntl(int fd, int command, long value)
{
    if (command == F_DUPFD_CLOEXEC && no_descriptor) {
        errno = EMFILE;
        return -1;
    }
    return __real_fcntl(fd, command, value);
}

/* ---- A world ---- */

static void begin(uint32_t slots)
{
    master_open();
    now.slots = slots;
    before.slots = 2;
}

static struct worker *add(struct generation *of, uint32_t slot, enum worker_life life)
{
    struct worker *worker = table_add(of, life);

    worker->slot = slot;
    worker->slots = of->slots;
    worker->arena = memfd_create("arena", MFD_CLOEXEC);
    return worker;
}

static void expect_offer(const struct worker *to, const struct worker *from)
{
    for (uint32_t i = 0; i < offer_count; i++) {
        if (offers[i].to != to)
            continue;
        ck_assert_uint_eq(offers[i].message.type, MESSAGE_ADOPT);
        ck_assert_uint_eq(offers[i].message.serial, from->serial);
        offers[i] = offers[--offer_count];
        return;
    }
    ck_abort_msg("worker %u was offered nothing", to->serial);
}

static void adopted(struct worker *by, const struct worker *from)
{
    handover_done(by, from->serial, 1);
}

/* ---- Rules ---- */

START_TEST(with_as_many_slots_each_worker_takes_over_from_its_own_slot)
{
    begin(2);
    struct worker *gone = add(&before, 1, WORKER_LEAVING);
    add(&now, 0, WORKER_SERVING);
    struct worker *heir = add(&now, 1, WORKER_SERVING);

    handover_add(gone, true);
    ck_assert_uint_eq(offer_count, 1);
    ck_assert_uint_eq(offers[0].message.adopt.part, 1);
    ck_assert_uint_eq(offers[0].message.adopt.parts, 2);
    expect_offer(heir, gone);
    ck_assert(handover_awaits(gone->serial));
    adopted(heir, gone);
    ck_assert(!handover_awaits(gone->serial));
    ck_assert_uint_eq(retired_count, 1);
}
END_TEST

START_TEST(with_another_number_of_slots_every_slot_takes_a_part)
{
    begin(3);
    struct worker *gone = add(&before, 1, WORKER_LEAVING), *heirs[3];
    for (uint32_t i = 0; i < 3; i++)
        heirs[i] = add(&now, i, WORKER_SERVING);

    handover_add(gone, true);
    ck_assert_uint_eq(offer_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        expect_offer(heirs[i], gone);
        ck_assert_uint_eq(retired_count, 0);
        adopted(heirs[i], gone);
    }
    ck_assert_uint_eq(retired_count, 1);
}
END_TEST

START_TEST(sources_are_offered_one_by_one_newest_first_and_retired_after_the_last)
{
    begin(1);
    before.slots = 1;
    struct worker *older = add(&before, 0, WORKER_LEAVING);
    struct worker *newer = add(&before, 0, WORKER_LEAVING);

    handover_add(older, true); /* nobody serves yet */
    handover_add(newer, true);
    ck_assert_uint_eq(offer_count, 0);
    struct worker *heir = add(&now, 0, WORKER_SERVING);
    handover_advance();
    ck_assert_uint_eq(offer_count, 1);
    expect_offer(heir, newer);
    handover_advance();
    ck_assert_uint_eq(offer_count, 0); /* it is at work */
    adopted(heir, newer);
    ck_assert_uint_eq(retired_count, 0); /* the other one may still have what the vault holds */
    expect_offer(heir, older);
    adopted(heir, older);
    ck_assert_uint_eq(retired_count, 2);
}
END_TEST

START_TEST(a_slot_without_a_worker_keeps_nobody_waiting)
{
    begin(2);
    struct worker *gone = add(&before, 1, WORKER_LEAVING);
    struct worker *other = add(&now, 0, WORKER_SERVING);

    handover_add(gone, true);
    ck_assert_uint_eq(offer_count, 0);
    handover_redirect(1);
    ck_assert_uint_eq(offer_count, 1);
    ck_assert_uint_eq(offers[0].message.adopt.slots, 1); /* all of it */
    ck_assert_uint_eq(offers[0].message.adopt.parts, 1);
    expect_offer(other, gone);
}
END_TEST

START_TEST(a_worker_that_lets_go_in_two_steps_is_gone_through_twice_and_told_once)
{
    begin(2);
    struct worker *leaving = add(&before, 0, WORKER_LEAVING);
    struct worker *heir = add(&now, 0, WORKER_SERVING);

    handover_add(leaving, false);
    ck_assert_int_ge(leaving->arena, 0); /* it still has it */
    ck_assert_uint_eq(offers[0].message.adopt.partial, 1);
    expect_offer(heir, leaving);
    handover_add(leaving, true); /* the rest, while the part is being taken */
    ck_assert_int_lt(leaving->arena, 0);
    adopted(heir, leaving);
    ck_assert_uint_eq(taken + retired_count, 0);
    ck_assert_uint_eq(offers[0].message.adopt.partial, 0);
    expect_offer(heir, leaving);
    adopted(heir, leaving);
    ck_assert_uint_eq(taken, 1);
    ck_assert_uint_eq(retired_count, 1);
}
END_TEST

/* Otherwise what has followed is taken by nobody, and the vaults close it. */
START_TEST(an_upgrade_does_not_forget_that_a_source_is_gone_through_again)
{
    begin(2);
    struct worker *leaving = add(&before, 0, WORKER_LEAVING);
    struct worker *heir = add(&now, 0, WORKER_SERVING);

    handover_add(leaving, false);
    handover_add(leaving, true);
    cJSON *former = cJSON_CreateObject(), *next = cJSON_CreateObject();
    handover_write(former);
    expect_offer(heir, leaving);
    for (int pass = 0; pass < 2; pass++)
        adopted(heir, leaving);
    ck_assert(!handover_awaits(leaving->serial));
    handover_read(former);
    handover_write(next);
    const cJSON *source = cJSON_GetArrayItem(cJSON_GetObjectItem(next, "sources"), 0);
    ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(source, "again")));
    cJSON_Delete(former);
    cJSON_Delete(next);
}
END_TEST

START_TEST(nothing_is_offered_while_a_leaving_worker_still_takes_from_it)
{
    begin(2);
    struct worker *dead = add(&before, 0, WORKER_SERVING);
    struct worker *taker = add(&before, 0, WORKER_LEAVING);
    struct worker *heir = add(&now, 0, WORKER_SERVING);

    taker->adoption.from = dead->serial;
    handover_add(dead, true);
    ck_assert_uint_eq(offer_count, 0);
    adopted(taker, dead);
    expect_offer(heir, dead);
}
END_TEST

START_TEST(another_worker_takes_the_rest_of_a_full_one_which_is_asked_again_later)
{
    begin(2);
    struct worker *dead = add(&before, 0, WORKER_SERVING);
    struct worker *full = add(&now, 0, WORKER_SERVING), *other = add(&now, 1, WORKER_SERVING);

    handover_add(dead, true);
    expect_offer(full, dead);
    handover_full(full, dead->serial, 3);
    ck_assert_uint_eq(offer_count, 1);
    expect_offer(other, dead);
    ck_assert(full->adoption.full);
    handover_full(other, dead->serial, 0);
    ck_assert_uint_eq(offer_count, 0); /* both are full: after a while */
    ck_assert_uint_eq(master.loop.timer_count, 1);
}
END_TEST

START_TEST(without_a_descriptor_for_its_arena_a_source_waits_and_is_not_lost)
{
    begin(2);
    struct worker *leaving = add(&before, 0, WORKER_LEAVING);
    struct worker *heir = add(&now, 0, WORKER_SERVING);

    no_descriptor = true;
    handover_add(leaving, false);
    ck_assert_uint_eq(offer_count, 0);
    ck_assert(handover_awaits(leaving->serial));
    ck_assert_uint_eq(master.loop.timer_count, 1);
    no_descriptor = false;
    handover_add(leaving, true); /* needs none: the arena moves */
    expect_offer(heir, leaving);
}
END_TEST

UNIT_MAIN("handover", with_as_many_slots_each_worker_takes_over_from_its_own_slot,
          with_another_number_of_slots_every_slot_takes_a_part,
          sources_are_offered_one_by_one_newest_first_and_retired_after_the_last,
          a_slot_without_a_worker_keeps_nobody_waiting,
          a_worker_that_lets_go_in_two_steps_is_gone_through_twice_and_told_once,
          an_upgrade_does_not_forget_that_a_source_is_gone_through_again,
          nothing_is_offered_while_a_leaving_worker_still_takes_from_it,
          another_worker_takes_the_rest_of_a_full_one_which_is_asked_again_later,
          without_a_descriptor_for_its_arena_a_source_waits_and_is_not_lost)
