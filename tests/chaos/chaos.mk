# Chaos: see chaos.py. Included by tests/tests.mk.
#
#   make chaos            CHAOS_SECONDS (300), with a seed of the moment, or CHAOS_SEED=N
#   make chaos-minute     the form that `make test` runs
#   make chaos-gates      a minute in which gates are killed, too, which costs their clients
#   make chaos-self-test  workers that die within their system calls: with the correction from the
#                         kernel's counters nobody notices, without it replies are wrong
#   make soak             SOAK_SECONDS (3600) of load on two servers: nothing grows; see soak.py
#   make soak-minute      a minute of it
#   make soak-self-test   modules that leak memory and descriptors are noticed by it

CHAOS_SECONDS ?= 300
CHAOS = PILLION_BUILD=$(abspath $(B)) python3 tests/chaos/chaos.py $(if $(CHAOS_SEED),--seed $(CHAOS_SEED))

.PHONY: chaos chaos-minute chaos-gates chaos-self-test soak soak-minute soak-self-test \
        soak-leak-memory soak-leak-descriptor
chaos: all fixtures samples  ## everything that can end a worker, under load
	$(CHAOS) --seconds $(CHAOS_SECONDS) --idle 5000 --files 3500

chaos-minute: all fixtures samples
	$(Q)$(CHAOS) --seconds 60 --idle 2000 --files 1500

chaos-gates: all fixtures samples  ## a minute of it in which gates are killed, too
	$(CHAOS) --seconds 60 --idle 1000 --files 1500 --kill-gates

SELF_TEST = PILLION_TEST_DIE_IN_CALL=3001 PILLION_BUILD=$(abspath $(B))/testing \
            python3 tests/chaos/chaos.py --seconds 15 --idle 100 --only nothing
chaos-self-test:
	$(Q)$(MAKE) --no-print-directory B=$(B)/testing CPPFLAGS=-DPILLION_TESTING all fixtures
	$(Q)$(SELF_TEST)
	$(Q)PILLION_TEST_NO_CORRECTION=1 $(SELF_TEST) --expect-wrong

SOAK_SECONDS ?= 3600
SOAK = PILLION_BUILD=$(abspath $(B)) python3 tests/chaos/soak.py $(if $(SOAK_SEED),--seed $(SOAK_SEED))

soak: all fixtures samples  ## an hour of load, reloads and crashes: no process grows
	$(SOAK) --seconds $(SOAK_SECONDS)

soak-minute: all fixtures samples
	$(Q)$(SOAK) --seconds 60 --every 1 --failures-only

# They end as soon as the leak is noticed.
soak-self-test: soak-leak-memory soak-leak-descriptor
soak-leak-memory soak-leak-descriptor: soak-leak-%: all fixtures samples
	$(Q)$(SOAK) --seconds 300 --every 1 --failures-only --leak $*
