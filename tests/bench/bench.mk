# Benchmarks: programs, never tests. Included by tests/tests.mk.

.PHONY: bench-recovery
bench-recovery: all  ## how long clients wait when a worker dies
	PILLION_BUILD=$(abspath $(B)) python3 tests/bench/recovery.py

$(B)/tests/bench/json_speed: tests/bench/json_speed.c $(B)/libpillion.a
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(LDFLAGS_ALL) -o $@ $< $(B)/libpillion.a $(LIBS)

.PHONY: bench-json
bench-json: $(B)/tests/bench/json_speed  ## the speed of the strict JSON pass
	$<
