/* The table of the state that an upgrade hands on (core/master/owners.c): each owner's part in it,
 * and the order in which they are read. The owners themselves are wrapped by the linker (tests.mk);
 * each has tests of its own. */
#include "unit.h"

#include <string.h>

#include "master/binary.h"
#include "master/control.h"
#include "master/directory_memory.h"
#include "master/generations.h"
#include "master/handover.h"
#include "master/inherit.h"
#include "master/owners.h"
#include "master/pid_file.h"
#include "master/vaults.h"
#include "master/workers.h"
#include "process/zones.h"
#include "rpc/board.h"

#define OWNERS(ROW)       \
    ROW(binary)           \
    ROW(inherit)          \
    ROW(directory_memory) \
    ROW(zones)            \
    ROW(vaults)           \
    ROW(workers)          \
    ROW(handover)         \
    ROW(pid_file)         \
    ROW(control)

enum owner {
#define NAME(owner) owner##_,
    OWNERS(NAME) OWNERS_MAX
};

static unsigned times, written[OWNERS_MAX], read_at[OWNERS_MAX], kept[OWNERS_MAX],
    let_go[OWNERS_MAX];
static const cJSON *document;

#define FAKE(owner)                                 \
    void __wrap_##owner##_write(cJSON *state);      \
    void __wrap_##owner##_write(cJSON *state)       \
    {                                               \
        ck_assert_ptr_eq(state, document);          \
        written[owner##_]++;                        \
    }                                               \
    void __wrap_##owner##_read(const cJSON *state); \
    void __wrap_##owner##_read(const cJSON *state)  \
    {                                               \
        ck_assert_ptr_eq(state, document);          \
        ck_assert_uint_eq(read_at[owner##_], 0);    \
        read_at[owner##_] = ++times;                \
    }                                               \
    void __wrap_##owner##_keep_open(bool keep);     \
    void __wrap_##owner##_keep_open(bool keep)      \
    {                                               \
        (keep ? kept : let_go)[owner##_]++;         \
    }
OWNERS(FAKE)

static int board_fd;
static bool board_stays;

int __wrap_board_descriptor(void);
int __wrap_board_descriptor(void)
{
    return board_fd;
}

static struct generation current;
static bool crowded;

struct generation *__wrap_generation_current(void);
struct generation *__wrap_generation_current(void)
{
    return &current;
}

bool __wrap_generation_crowded_out(const struct generation *generation, const struct board *board);
bool __wrap_generation_crowded_out(const struct generation *generation, const struct board *board)
{
    (void)board;
    ck_assert_ptr_eq(generation, &current);
    return crowded;
}

void __wrap_state_keep_open(int fd, bool keep);
void __wrap_state_keep_open(int fd, bool keep)
{
    ck_assert_int_eq(fd, board_fd);
    board_stays = keep;
}

static void begin(cJSON *state)
{
    document = state;
    board_fd = 77;
    times = 0;
    memset(written, 0, sizeof(written));
    memset(read_at, 0, sizeof(read_at));
    memset(kept, 0, sizeof(kept));
    memset(let_go, 0, sizeof(let_go));
}

START_TEST(every_owner_writes_its_members_once)
{
    cJSON *state = cJSON_CreateObject();

    begin(state);
    owners_write(state);
    for (int i = 0; i < OWNERS_MAX; i++)
        ck_assert_uint_eq(written[i], 1);
    ck_assert_double_eq(cJSON_GetObjectItem(state, "board")->valuedouble, 77);
    cJSON_Delete(state);
}
END_TEST

/* Of a generation that served under the binary before, the settings are not known. */
START_TEST(a_crowded_board_is_told_to_the_next_binary)
{
    for (int i = 0; i < 4; i++) {
        cJSON *state = cJSON_CreateObject();
        begin(state);
        crowded = (i & 1) != 0;
        current.former = (i & 2) != 0;
        owners_write(state);
        ck_assert_int_eq(cJSON_IsTrue(cJSON_GetObjectItem(state, "board_crowded")), i == 1);
        cJSON_Delete(state);
    }
}
END_TEST

START_TEST(every_descriptor_of_the_state_stays_open_and_is_closed_again)
{
    begin(NULL);
    owners_keep_open(true);
    ck_assert(board_stays);
    for (int i = 0; i < OWNERS_MAX; i++)
        ck_assert(kept[i] == 1 && let_go[i] == 0);
    owners_keep_open(false);
    ck_assert(!board_stays);
    for (int i = 0; i < OWNERS_MAX; i++)
        ck_assert(kept[i] == 1 && let_go[i] == 1);
}
END_TEST

/* Workers are of a generation and in the vaults' seats; sources have workers for adopters. */
START_TEST(every_owner_is_read_once_and_after_those_that_it_needs)
{
    cJSON *state = cJSON_CreateObject();
    static const enum owner needs[][2] = {
        {inherit_, binary_},  {zones_, inherit_},  {vaults_, inherit_},
        {workers_, inherit_}, {workers_, vaults_}, {handover_, workers_},
    };

    begin(state);
    owners_read(state);
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
        ck_assert_uint_gt(read_at[needs[i][0]], read_at[needs[i][1]]);
    ck_assert_uint_eq(times, OWNERS_MAX);
    cJSON_Delete(state);
}
END_TEST

/* An order finds everything else as the former binary left it. */
START_TEST(the_control_socket_takes_orders_after_all_else_is_read)
{
    cJSON *state = cJSON_CreateObject();

    begin(state);
    owners_read(state);
    ck_assert_uint_eq(read_at[control_], OWNERS_MAX);
    cJSON_Delete(state);
}
END_TEST

UNIT_MAIN("owners", every_owner_writes_its_members_once, a_crowded_board_is_told_to_the_next_binary,
          every_descriptor_of_the_state_stays_open_and_is_closed_again,
          every_owner_is_read_once_and_after_those_that_it_needs,
          the_control_socket_takes_orders_after_all_else_is_read)
