# End-to-end tests: one program for each tests/e2e/test_*.c, with the harness and nothing of the core.
# Included by tests/tests.mk, which names them (E2E_BIN). They drive the server that was built.

HARNESS_SRC := $(sort $(wildcard tests/e2e/harness*.c))
HARNESS_OBJ := $(HARNESS_SRC:%.c=$(B)/obj/%.o)

$(HARNESS_OBJ): CPPFLAGS_ALL += -Itests/e2e

$(B)/tests/e2e/%: tests/e2e/%.c $(HARNESS_OBJ) tests/e2e/harness.h
	@mkdir -p $(@D)
	$(if $(Q),@echo "  TEST $@")
	$(Q)$(COMPILE) $(LDFLAGS_ALL) -Itests/e2e -o $@ $< $(HARNESS_OBJ) -lcjson $(CHECK_LIBS)

# As an author of modules would build a test: with <pillion/test.h> and its library.
$(B)/tests/e2e/test_test_api $(B)/tests/e2e/test_proxy_services: $(B)/libpillion-test.so
$(B)/tests/e2e/test_test_api $(B)/tests/e2e/test_proxy_services: CHECK_LIBS += -Icore/include -L$(B) -Wl,-rpath,$(abspath $(B)) -lpillion-test

# Its clients are OpenSSL's.
TLS_TESTS := $(B)/tests/e2e/test_tls $(B)/tests/e2e/test_tls_call $(B)/tests/e2e/test_tls_hard $(B)/tests/e2e/test_tls_out $(B)/tests/e2e/test_tls_engines
$(TLS_TESTS): CHECK_LIBS += -lssl -lcrypto
$(TLS_TESTS): tests/e2e/tls_peer.h

# Preloaded by test_faults, test_calls and test_names. A sanitizer's library has to come first, so
# those that fake what it has itself run without them (tests.mk).
PRELOADED := $(patsubst tests/e2e/preload/%.c,$(B)/tests/e2e/%.so,$(wildcard tests/e2e/preload/*.c))
$(PRELOADED): $(B)/tests/e2e/%.so: tests/e2e/preload/%.c $(wildcard tests/e2e/preload/*.h)
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -std=c17 $(WARNINGS) -Wno-missing-prototypes -O2 -g -shared -fPIC \
	    -o $@ $< -ldl

$(B)/tests/e2e/test_faults: $(B)/tests/e2e/faults.so
$(B)/tests/e2e/test_calls $(B)/tests/e2e/test_allocations: $(B)/tests/e2e/calls.so
$(B)/tests/e2e/test_names $(B)/tests/e2e/test_proxy_http: $(B)/tests/e2e/names.so

# As test_calls, and each call fails not only when it is made first. Takes a quarter of an hour.
CALLS_DEEP ?= 20
.PHONY: calls-deep
calls-deep: $(B)/tests/e2e/test_calls all fixtures  ## every system call fails, the first CALLS_DEEP times that it is made
	$(Q)$(TEST_ENV) CK_TIMEOUT_MULTIPLIER=10 CALLS_DEEP=$(CALLS_DEEP) $<

# A server whose arenas and board have another layout, to upgrade to. See test_upgrade.
.PHONY: layout
layout:
	$(Q)$(MAKE) --no-print-directory B=$(B)/tests/layout CPPFLAGS=-DPILLION_TEST_LAYOUT \
	    $(B)/tests/layout/pillion

$(B)/tests/e2e/test_upgrade $(B)/tests/e2e/test_events: | layout

.PHONY: e2e
e2e: $(E2E_BIN) all fixtures samples  ## end-to-end tests, with the server that was built
	@$(MAKE) --no-print-directory -k $(RUN_E2E)
