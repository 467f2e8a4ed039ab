/* The worker that leads. See lead.h. */
#include "worker/lead.h"

static struct {
    const struct board *board;
    const struct board_row *row;
} lead;

static enum lead who_leads(void)
{
    const struct board *board = lead.board;
    uint64_t generation = atomic_load_explicit(&board->generation, memory_order_relaxed);
    uint32_t lowest = UINT32_MAX;
    const struct board_row *found = NULL;

    for (uint32_t i = 0; i < board->row_high; i++) {
        const struct board_head *head = &board->heads[i];
        uint32_t slot = atomic_load_explicit(&head->slot, memory_order_relaxed);
        if (atomic_load_explicit(&head->state, memory_order_relaxed) != ROW_SERVING ||
            atomic_load_explicit(&head->generation, memory_order_relaxed) != generation ||
            slot >= lowest)
            continue;
        lowest = slot;
        found = &board->rows[i];
    }
    return found == NULL ? LEAD_NOBODY : found == lead.row ? LEAD_OWN : LEAD_OTHER;
}

void lead_begin(const struct board *board, const struct board_row *row)
{
    lead.board = board;
    lead.row = row;
    callbacks_led_by(who_leads);
}
