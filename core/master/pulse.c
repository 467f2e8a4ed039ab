/* Asking one process for signs of life. See pulse.h. */
#include "master/pulse.h"

#include "base/clock.h"
#include "process/channel.h"

static uint64_t last_question;

uint64_t pulse_question(void)
{
    return ++last_question;
}

uint32_t pulse_weigh(const struct pulse *pulse, const struct child_view *view, bool busy,
                     uint64_t pace_ns)
{
    switch (view->state) {
    case 'T': /* stopped by a signal: even its handlers do not run */
        return PULSE_FULL;
    case 'R': /* it spins, or (little time used) waits for a processor */
        return busy || view->cpu_ns - pulse->cpu_ns <= pace_ns / 2 ? 0 : 1;
    case '?': /* nobody can tell, without /proc */
    case 'D': /* it waits for a disk or swapped-out memory: slow, or for ever */
        return busy ? 0 : 1;
    case 'Z':
    case 'X': /* it has ended: SIGCHLD follows */
        return 0;
    default: /* it sleeps or a debugger holds it, and it has not read the question */
        return busy || view->exiting ? 0 : PULSE_FULL;
    }
}

void pulse_heard(struct pulse *pulse, uint64_t serial)
{
    pulse->answered = true;
    if (serial > pulse->heard && serial <= last_question)
        pulse->heard = serial;
    if (serial == pulse->question)
        pulse->lag_ns = clock_ns() - pulse->asked_ns;
}

static void ask(struct pulse *pulse, int channel, uint64_t serial)
{
    /* A channel that is full is not read by the process: that counts as asked, too. */
    channel_tell(channel, MESSAGE_BEAT, serial, 0);
    pulse->asked = true;
    pulse->question = serial;
    pulse->asked_ns = clock_ns();
}

bool pulse_round(struct pulse *pulse, pid_t pid, int channel, const struct pulse_round *round,
                 bool busy, bool excused)
{
    if (!pulse->known || pulse->dead)
        return true;
    if (pulse->answered || excused) {
        pulse->silence = 0;
    } else if (pulse->asked) {
        struct child_view view = child_view(pid);
        uint32_t weight = pulse_weigh(pulse, &view, busy, round->pace_ns);
        pulse->silence = weight == 0 && busy ? 0 : pulse->silence + weight;
        pulse->cpu_ns = view.cpu_ns;
    }
    pulse->answered = false;
    if (pulse->silence < PULSE_SILENT) {
        ask(pulse, channel, round->question);
        return true;
    }
    pulse->dead = true;
    return false;
}

void pulse_greet(int channel)
{
    channel_tell(channel, MESSAGE_BEAT, last_question, 0);
}
