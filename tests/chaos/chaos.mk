# Chaos: see chaos.py. Included by tests/tests.mk.
#
#   make chaos            CHAOS_SECONDS (300), with a seed of the moment, or CHAOS_SEED=N
#   make chaos-minute     the form that `make test` runs
#   make chaos-self-test  with the correction from the kernel's counters off it must fail

CHAOS_SECONDS ?= 300
CHAOS = PILLION_BUILD=$(abspath $(B)) python3 tests/chaos/chaos.py $(if $(CHAOS_SEED),--seed $(CHAOS_SEED))

.PHONY: chaos chaos-minute chaos-self-test
chaos: all fixtures  ## everything that can end a worker, under load
	$(CHAOS) --seconds $(CHAOS_SECONDS) --idle 5000

chaos-minute: all fixtures
	$(Q)$(CHAOS) --seconds 60 --idle 2000

chaos-self-test: fixtures
	$(Q)$(MAKE) --no-print-directory B=$(B)/testing CPPFLAGS=-DPILLION_TESTING all fixtures
	$(Q)PILLION_TEST_NO_CORRECTION=1 PILLION_BUILD=$(abspath $(B))/testing \
	    python3 tests/chaos/chaos.py --seconds 60 --idle 100 --only kill --expect-wrong
