/* Workers from one binary to the next: their state as JSON. See workers.h. */
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "master/generations.h"
#include "master/master.h"
#include "master/state.h"
#include "master/vault_channels.h"
#include "master/workers.h"

void workers_write(cJSON *state)
{
    cJSON *list = cJSON_AddArrayToObject(state, "workers");

    cJSON_AddNumberToObject(state, "last_serial", workers_last_serial());
    for (struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (!worker_has_served(w))
            continue;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "pid", w->child.pid);
        cJSON_AddNumberToObject(item, "slot", w->slot);
        cJSON_AddNumberToObject(item, "slots", w->slots);
        cJSON_AddNumberToObject(item, "records", w->generation->geometry.records);
        cJSON_AddNumberToObject(item, "blocks", w->generation->geometry.blocks);
        cJSON_AddNumberToObject(item, "serial", w->serial);
        cJSON_AddNumberToObject(item, "channel", w->child.channel.fd);
        cJSON_AddNumberToObject(item, "arena", w->arena);
        cJSON_AddNumberToObject(item, "row", (double)(w->row - master.board->rows));
        cJSON_AddBoolToObject(item, "leaving", worker_is_leaving(w));
        cJSON_AddBoolToObject(item, "released", w->life >= WORKER_RELEASED);
        cJSON_AddBoolToObject(item, "staying", w->life == WORKER_STAYING);
        cJSON_AddBoolToObject(item, "died", w->life == WORKER_LOST);
        cJSON_AddBoolToObject(item, "hung", w->cause == CAUSE_HUNG);
        cJSON_AddBoolToObject(item, "beats", w->pulse.known);
        cJSON_AddNumberToObject(item, "unheld", w->unheld);
        cJSON_AddBoolToObject(item, "offline", w->offline);
        cJSON_AddBoolToObject(item, "single_vault", w->vaults.single);
        vaults_write_worker(w, item);
        cJSON_AddBoolToObject(item, "adopting", w->adoption.from != 0);
        cJSON_AddNumberToObject(item, "adopting_serial", (double)w->adoption.from);
        cJSON_AddItemToArray(list, item);
    }
}

/* The life that the first true member stands for. */
static enum worker_life read_life(const cJSON *item)
{
    static const struct {
        const char *name;
        enum worker_life life;
    } lives[] = {
        {"died", WORKER_LOST},
        {"released", WORKER_RELEASED},
        {"staying", WORKER_STAYING},
        {"leaving", WORKER_LEAVING},
    };

    for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
        if (state_truth(item, lives[i].name))
            return lives[i].life;
    }
    return WORKER_SERVING;
}

/* The worker writes to the former binary's board. If this binary has a new board, the worker takes
 * a row there only to keep other workers from it. */
static void read_worker(const cJSON *item, bool single_vault)
{
    struct generation *generation = generation_current();
    uint32_t row = (uint32_t)state_number(item, "row", BOARD_ROWS_MAX);
    struct worker *worker = must_zalloc(sizeof(*worker));

    generation->users++;
    if (generation->resumed) { /* needed by the next upgrade only */
        generation->geometry.records = (uint32_t)state_number(item, "records", 0);
        generation->geometry.blocks = (uint32_t)state_number(item, "blocks", 0);
    }
    worker->generation = generation;
    worker->slot = (uint32_t)state_number(item, "slot", 0);
    worker->slots = (uint32_t)state_number(item, "slots", 1);
    worker->serial = (uint32_t)state_number(item, "serial", 0);
    worker->arena = (int)state_number(item, "arena", -1);
    worker->life = read_life(item);
    worker->cause = state_truth(item, "hung") ? CAUSE_HUNG : CAUSE_ITSELF;
    worker->pulse.known = state_truth(item, "beats");
    worker->offline = state_truth(item, "offline");
    worker->unheld = (uint32_t)state_number(item, "unheld", 0); /* it reports only changes */
    worker->vaults.single = single_vault || state_truth(item, "single_vault");
    vaults_read_worker(worker, item);
    if (state_truth(item, "adopting"))
        worker->adoption.from = (uint64_t)state_number(item, "adopting_serial", 0);
    worker->started_ns = clock_ns();
    if (master.board_anew)
        worker->row = board_take_row(master.board, worker->slot, generation_last_number());
    else
        worker->row = row < BOARD_ROWS_MAX ? &master.board->rows[row] : NULL;
    state_keep_open(worker->arena, false);
    worker_resume(worker, (pid_t)state_number(item, "pid", 0),
                  (int)state_number(item, "channel", -1));
}

void workers_read(const cJSON *state)
{
    const cJSON *item;
    /* A binary that has written no list of vaults knows only one. */
    bool single_vault = !cJSON_HasObjectItem(state, "vaults");

    workers_resume_serial((uint32_t)state_number(state, "last_serial", 0));
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "workers"))
        read_worker(item, single_vault);
}

void workers_keep_open(bool keep)
{
    for (const struct worker *w = workers_first(); w != NULL; w = w->next) {
        if (!worker_has_served(w))
            continue;
        state_keep_open(w->child.channel.fd, keep);
        state_keep_open(w->arena, keep);
    }
}
