# Building and running the tests. Included by the top Makefile.
#
# tests/unit/test_*.c and tests/e2e/test_*.c are one program each, on check; each prints check's own
# summary line. Unit tests link the core; end-to-end tests link only the harness and drive the real
# binary.

UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
E2E_BIN  := $(patsubst tests/e2e/%.c,$(B)/tests/e2e/%,$(sort $(wildcard tests/e2e/test_*.c)))
CHECK_LIBS := -lcheck -lsubunit -lrt -lm

$(B)/tests/unit/%: tests/unit/%.c tests/unit/unit.h $(B)/libpillion.a
	@mkdir -p $(@D)
	$(if $(Q),@echo "  TEST $@")
	$(Q)$(COMPILE) $(LDFLAGS_ALL) -Itests/unit -o $@ $< $(B)/libpillion.a $(LIBS) $(CHECK_LIBS)

.PHONY: unit
unit: $(UNIT_BIN)  ## unit tests
	$(Q)set -e; for t in $^; do $$t; done
