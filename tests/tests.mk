# Building and running the tests. Included by the top Makefile.
#
# tests/unit/test_*.c and tests/e2e/test_*.c are one program each, on check; each prints check's own
# summary line. Unit tests link the core; end-to-end tests link only the harness and drive the real
# binary. `make check` runs all of them twice, the second time under AddressSanitizer and UBSan.

UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
E2E_BIN  := $(patsubst tests/e2e/%.c,$(B)/tests/e2e/%,$(sort $(wildcard tests/e2e/test_*.c)))
CHECK_LIBS := -lcheck -lsubunit -lrt -lm
TEST_FUZZ_SECONDS ?= 5

# Programs of the tests find here what was built.
TEST_ENV = PILLION_BUILD=$(abspath $(B)) \
           ASAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigill=0:handle_sigfpe=0:allocator_may_return_null=1:detect_stack_use_after_return=0

$(B)/tests/unit/%: tests/unit/%.c tests/unit/unit.h $(B)/libpillion.a
	@mkdir -p $(@D)
	$(if $(Q),@echo "  TEST $@")
	$(Q)$(COMPILE) $(LDFLAGS_ALL) -Itests/unit -o $@ $< $(B)/libpillion.a $(LIBS) $(CHECK_LIBS)

# It drives the master's own code with children that are none: see there.
$(B)/tests/unit/test_orders: CHECK_LIBS += $(patsubst %,-Wl$(,)--wrap=%,fork kill waitpid execv pipe2 channel_pair)
, := ,

.PHONY: unit
unit: $(UNIT_BIN) all fixtures  ## unit tests
	$(Q)status=0; for t in $(UNIT_BIN); do $(TEST_ENV) $$t || status=1; done; exit $$status

-include $(wildcard tests/modules/modules.mk)
-include tests/e2e/e2e.mk
-include tests/fuzz/fuzz.mk
-include $(wildcard tests/chaos/chaos.mk)
-include $(wildcard tests/bench/bench.mk)
-include $(shell find $(B)/tests -name '*.d' 2>/dev/null)

# A client that knows nothing of Pillion, written for the teaching server; and that server itself.
.PHONY: interop
interop: all  ## Python's plain client and server against this one
	$(Q)$(TEST_ENV) sh tests/interop/run.sh

# Everything the header promises to module authors: C11, C17 and C++17, two compilers, no warnings;
# and that a version which tests/abi has is never changed, but for its comments.
ABI = $(shell sed -n 's/^.define PILLION_ABI_M[AI][JN]OR //p' core/include/pillion/module.h | paste -sd.)
.PHONY: header
header:
	$(Q)code() { $(CC) -w -fpreprocessed -dD -E -P $$1; }; kept=tests/abi/$(ABI)/pillion/module.h; \
	[ ! -e $$kept ] || [ "$$(code $$kept)" = "$$(code core/include/pillion/module.h)" ] || \
	    { echo "the header differs from $$kept: what is new needs another PILLION_ABI_MINOR" >&2; exit 1; }
	$(Q)for c in 'gcc -std=c11' 'clang -std=c17' 'g++ -x c++ -std=c++17' 'clang++ -x c++ -std=c++17'; do \
	    printf '#include <pillion/module.h>\n#include <pillion/test.h>\n' | \
	        $$c $$(case "$$c" in *++*) ;; *) echo -x c;; esac) -Wall -Wextra -Wpedantic -Werror \
	        -Icore/include -fsyntax-only - || exit 1; \
	done

# Each folder of core/ includes only from itself and those before it; see docs/architecture.md.
LAYERS := base conf event net wire rpc module process cmd
.PHONY: layers
layers:
	$(Q)status=0; allowed='pillion'; for layer in $(LAYERS); do \
	    allowed="$$allowed|$$layer"; \
	    grep -nE '^#include "[a-z]+/' core/$$layer/*.[ch] | grep -vE "#include \"($$allowed)/" && status=1; \
	done; exit $$status

# The reference page is made from the directive table; it must not differ.
.PHONY: reference docs-check
reference: $(B)/pillion  ## write docs/configuration.md
	$(B)/pillion doc configuration >docs/configuration.md

docs-check: $(B)/pillion
	$(Q)$(B)/pillion doc configuration | diff -u docs/configuration.md - || \
	    { echo "docs/configuration.md is out of date: run \`make reference\`" >&2; exit 1; }

# All of it arrives, and all of it goes.
INSTALLED := $(abspath $(B))/tests/installed
.PHONY: install-check
install-check: all
	$(Q)rm -rf $(INSTALLED)
	$(Q)$(MAKE) --no-print-directory install DESTDIR=$(INSTALLED) >/dev/null
	$(Q)for f in $(BIN_DIR)/pillion $(HOME_DIR)/modules/ping.so $(HOME_DIR)/conf/pillion.conf \
	    $(INC_DIR)/pillion/module.h $(PC_DIR)/pillion.pc $(DOC_DIR)/examples/redis.conf; do \
	    [ -s $(INSTALLED)$$f ] || { echo "make install leaves out $$f" >&2; exit 1; }; \
	done
	$(Q)$(MAKE) --no-print-directory uninstall DESTDIR=$(INSTALLED) >/dev/null
	$(Q)! find $(INSTALLED) -type f | grep .

SANITIZED = $(MAKE) --no-print-directory B=$(B)/sanitized SANITIZE=address,undefined

.PHONY: check
check: all  ## every test, with what is installed
	@echo "== header and reference page"
	@$(MAKE) --no-print-directory header layers docs-check install-check
	@echo "== unit tests"
	@$(MAKE) --no-print-directory unit
	@echo "== end-to-end tests"
	@$(MAKE) --no-print-directory e2e interop
	@echo "== the same under AddressSanitizer and UBSan"
	@$(SANITIZED) unit e2e
	@echo "== a minute of chaos"
	@$(MAKE) --no-print-directory chaos-minute chaos-self-test
	@echo "== fuzzing, in short"
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=$(TEST_FUZZ_SECONDS)
	@echo "every test has passed"
