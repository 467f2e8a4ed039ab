# Building and running the tests. Included by the top Makefile.
#
# tests/unit/test_*.c and tests/e2e/test_*.c are one program each, on check; each prints check's own
# summary line. Unit tests link the core; end-to-end tests link only the harness and drive the real
# binary. Each has a target that runs it alone, run-unit-NAME and run-e2e-NAME, so that with -j one
# works while another waits. `make check` runs all of them twice, the second time under
# AddressSanitizer and UBSan; it goes on after a failure, and lists at its end what has failed.

UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
E2E_BIN  := $(patsubst tests/e2e/%.c,$(B)/tests/e2e/%,$(sort $(wildcard tests/e2e/test_*.c)))
E2E_BIN  := $(filter-out $(if $(SANITIZE),%/test_faults %/test_calls %/test_allocations),$(E2E_BIN))
CHECK_LIBS := -lcheck -lsubunit -lrt -lm
TEST_FUZZ_SECONDS ?= 5

# Programs of the tests find here what was built. A loaded machine may take its time; a test that
# hangs is ended all the same.
TEST_ENV = PILLION_BUILD=$(abspath $(B)) CK_TIMEOUT_MULTIPLIER=3 \
           ASAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigill=0:handle_sigfpe=0:allocator_may_return_null=1:detect_stack_use_after_return=0

$(B)/tests/unit/%: tests/unit/%.c tests/unit/unit.h $(B)/libpillion.a
	@mkdir -p $(@D)
	$(if $(Q),@echo "  TEST $@")
	$(Q)$(COMPILE) $(LDFLAGS_ALL) -Itests/unit -o $@ $< $(B)/libpillion.a $(LIBS) $(CHECK_LIBS)

# Decisions of modules, which are files of their own.
$(B)/tests/unit/test_ring: CHECK_LIBS += modules/proxy/ring.c
$(B)/tests/unit/test_ring: modules/proxy/ring.c modules/proxy/ring.h

# And what dns.so reads of answers.
$(B)/tests/unit/test_dns: CHECK_LIBS += core/registry/cares/answer.c -lresolv
$(B)/tests/unit/test_dns: core/registry/cares/answer.c core/registry/cares/answer.h

$(B)/tests/unit/test_heartbeat: CHECK_LIBS += -Wl,--wrap=child_view
$(B)/tests/unit/test_log_seldom: CHECK_LIBS += -Wl,--wrap=clock_ns
$(B)/tests/unit/test_slice: CHECK_LIBS += -Wl,--wrap=clock_ns
$(patsubst %,$(B)/tests/unit/test_%,resolver srv): CHECK_LIBS += -Wl,--wrap=clock_ns
$(B)/tests/unit/test_zone_file: CHECK_LIBS += -Wl,--wrap=clock_ns -Wl,--wrap=clock_wall_ms
$(patsubst %,$(B)/tests/unit/test_%,callback deferred offload): CHECK_LIBS += -Wl,--wrap=clock_ns

# The master's own code, with children or workers that are rows of a table: see child_fakes.h and
# worker_table.h.
wrap = $(patsubst %,-Wl$(,)--wrap=%,$(1))
CHILD_FAKES  := fork kill waitpid channel_pair timer_set timer_cancel
WORKER_TABLE := generation_current workers_first
$(B)/tests/unit/test_orders: CHECK_LIBS += $(call wrap,$(CHILD_FAKES) fexecve pipe2)
$(B)/tests/unit/test_handover: CHECK_LIBS += $(call wrap,$(WORKER_TABLE) fcntl worker_of_slot worker_blame outbox_send outbox_tell channel_tell vaults_tell)
$(B)/tests/unit/test_vaults $(B)/tests/unit/test_vault_channels: CHECK_LIBS += $(call wrap,$(CHILD_FAKES) $(WORKER_TABLE) child_view child_exiting clock_ns outbox_send outbox_tell generation_next worker_kill)
$(B)/tests/unit/test_found: CHECK_LIBS += $(call wrap,generation_current directory_memory gateway_look clock_ns timer_set timer_cancel)
$(B)/tests/unit/test_wants: CHECK_LIBS += $(call wrap,generation_current generation_next workers_first registry_wants)
$(B)/tests/unit/test_readiness: CHECK_LIBS += $(call wrap,clock_ns timer_set timer_cancel overview_serving overview_holdings)
$(B)/tests/unit/test_loop: CHECK_LIBS += $(call wrap,epoll_wait)
$(B)/tests/unit/test_owners: CHECK_LIBS += $(call wrap,board_descriptor state_keep_open generation_current generation_crowded_out $(foreach o,binary inherit directory_memory zones vaults workers handover pid_file control,$(addprefix $(o)_,write read keep_open)))

# A worker's adoption, with vaults that are a table: see adopt_fixture.h.
$(B)/tests/unit/test_adopt $(B)/tests/unit/test_adopt_batch: CHECK_LIBS += $(call wrap,vault_client_is_open vault_client_take vault_client_drop vault_bank_adopt vault_bank_again dispatch_adopted arena_map files_restored stream_at_rest stream_count timer_set timer_cancel)
, := ,

# Programs that have failed, a line each; `make check` begins it anew.
export FAILED ?= $(abspath $(B))/tests/failed
# What was left out for want of something, a line each.
export SKIPPED ?= $(abspath $(B))/tests/skipped
RUN_UNIT := $(UNIT_BIN:$(B)/tests/unit/test_%=run-unit-%)
RUN_E2E  := $(E2E_BIN:$(B)/tests/e2e/test_%=run-e2e-%)
run_test  = $(Q)$(TEST_ENV) $(1) || { echo $(1) >>$(FAILED); exit 1; }

.PHONY: unit $(RUN_UNIT) $(RUN_E2E)
unit: $(UNIT_BIN) $(SAMPLE_TEST) all fixtures  ## unit tests
	@$(MAKE) --no-print-directory -k $(RUN_UNIT) $(RUN_SAMPLE)

$(RUN_UNIT): run-unit-%: $(B)/tests/unit/test_%
	$(call run_test,$<)

$(RUN_E2E): run-e2e-%: $(B)/tests/e2e/test_%
	$(call run_test,$<)

-include $(wildcard tests/modules/modules.mk)
-include tests/e2e/e2e.mk
-include tests/fuzz/fuzz.mk
-include $(wildcard tests/chaos/chaos.mk)
-include $(wildcard tests/cluster/cluster.mk)
-include $(wildcard tests/bench/bench.mk)
-include $(shell find $(B)/tests -name '*.d' 2>/dev/null)

# A client that knows nothing of Pillion, written for the teaching server; that server itself; and
# clients that others wrote, through a reload and a crash.
.PHONY: interop
interop: all fixtures  ## clients and servers of others against this one
	$(Q)$(TEST_ENV) sh tests/interop/run.sh

# Not a part of `make check`, because of what a browser brings with it.
.PHONY: browser-check
browser-check: all fixtures  ## web pages in Chromium against this server (make deps-browser)
	$(Q)$(TEST_ENV) python3 tests/browser/pages.py
	$(Q)$(TEST_ENV) sh tests/browser/watch.sh $(abspath $(B))/tests/browser-npm

# Everything the header promises to module authors: C11, C17 and C++17, two compilers, no warnings,
# neither in it nor in tables as modules have them; and that a version which tests/abi has is never
# changed, but for its comments.
ABI = $(shell sed -n 's/^.define PILLION_ABI_M[AI][JN]OR //p' core/include/pillion/module.h | paste -sd.)
CXX_SAMPLES := $(wildcard modules/samples/*/*.cc)
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
	$(Q)for c in 'g++ -std=c++17' 'g++ -std=c++20' 'clang++ -std=c++17' 'clang++ -std=c++20'; do \
	    $$c -Wall -Wextra -Werror -Icore/include -fsyntax-only tests/modules/cxx.cc $(CXX_SAMPLES) || \
	        exit 1; \
	done

# Each folder of core/ includes only from itself and those before it, and no two files, there or in
# a module, need each other; see docs/architecture.md.
LAYERS := base wire conf event tls net rpc module process vault gate registry worker master cmd
.PHONY: layers
layers:
	$(Q)status=0; allowed='pillion'; for layer in $(LAYERS); do \
	    allowed="$$allowed|$$layer"; \
	    grep -nE '^#include "[a-z]+/' core/$$layer/*.[ch] | grep -vE "#include \"($$allowed)/" && status=1; \
	done; exit $$status
	$(Q)python3 tests/layers.py --self-check && python3 tests/layers.py

# The reference pages are made from the tables of directives and of errors; they must not differ.
# Links of the pages lead somewhere, and what they name of the code is there.
REFERENCES := configuration errors
.PHONY: reference reflow docs-check
reference: $(B)/pillion  ## write docs/configuration.md and docs/errors.md
	$(foreach r,$(REFERENCES),$(B)/pillion doc $(r) >docs/$(r).md &&) true
	$(Q)python3 tests/docs/reliability.py

reflow:  ## wrap the paragraphs of the pages at 100 columns
	$(Q)python3 tests/docs/reflow.py README.md modules/samples/README.md $(filter-out $(REFERENCES:%=docs/%.md), \
	    $(wildcard docs/*.md docs/*/*.md))

# Manual pages have no mistake that mandoc(1) knows.
docs-check: $(B)/pillion $(B)/man/made
	$(Q)if command -v mandoc >/dev/null; then mandoc -Tlint -W warning $(B)/man/man?/*; \
	    else mkdir -p $(dir $(SKIPPED)); \
	    echo "the check of manual pages, which needs mandoc" | tee -a $(SKIPPED); fi
	$(Q)for r in $(REFERENCES); do $(B)/pillion doc $$r | diff -u docs/$$r.md - || \
	    { echo "docs/$$r.md is out of date: run \`make reference\`" >&2; exit 1; }; done
	$(Q)python3 tests/docs/reliability.py --check
	$(Q)python3 tests/docs/check.py

# All of it arrives, and all of it goes.
INSTALLED := $(abspath $(B))/tests/installed
.PHONY: install-check
install-check: all
	$(Q)rm -rf $(INSTALLED)
	$(Q)$(MAKE) --no-print-directory install DESTDIR=$(INSTALLED) >/dev/null
	$(Q)for f in $(BIN_DIR)/pillion $(HOME_DIR)/modules/ping.so $(HOME_DIR)/conf/pillion.conf \
	    $(INC_DIR)/pillion/module.h $(PC_DIR)/pillion.pc $(HOME_DIR)/conf/examples/redis.conf \
	    $(UNIT_DIR)/pillion.service $(BASH_DIR)/pillion $(ZSH_DIR)/_pillion $(MAN_DIR)/man1/pillion-call.1 $(MAN_DIR)/man5/pillion.conf.5 \
	    $(MAN_DIR)/man7/pillion-module.7 $(MAN_DIR)/man8/pillion.8 $(DOC_DIR)/architecture/reload.md \
	    $(DOC_DIR)/writing-a-module/wait.md; do \
	    [ -s $(INSTALLED)$$f ] || { echo "make install leaves out $$f" >&2; exit 1; }; \
	done
	$(Q)! command -v systemd-analyze >/dev/null || systemd-analyze security --offline=true \
	    --threshold=20 conf/pillion.service >/dev/null || \
	    { echo "conf/pillion.service: systemd-analyze gives it more than 2.0" >&2; exit 1; }
	$(Q)$(MAKE) --no-print-directory uninstall DESTDIR=$(INSTALLED) >/dev/null
	$(Q)! find $(INSTALLED) -type f | grep .

# Every console block of every page prints what the page says, in a clone and where it is installed.
TYPED := $(abspath $(B))/tests/typed
.PHONY: pages
pages: all  ## type the console blocks of the documentation
	$(Q)python3 tests/docs/pages.py --build $(abspath $(B))
	$(Q)rm -rf $(TYPED)
	$(Q)$(MAKE) --no-print-directory install DESTDIR=$(TYPED) >/dev/null
	$(Q)python3 tests/docs/pages.py --build $(abspath $(B)) --installed $(TYPED)
	$(Q)rm -rf $(TYPED)

# What make says and does on other machines.
.PHONY: make-check
make-check:
	$(Q)sh tests/make/run.sh

SANITIZED = $(MAKE) --no-print-directory B=$(B)/sanitized SANITIZE=address,undefined

# $(call stage,TITLE,TARGETS): one part of `make check`. A part that fails names its programs in
# FAILED, or is named there itself.
define stage
	+@echo "== $(1)"; before=$$(cat $(FAILED) 2>/dev/null); \
	$(2) || [ "$$(cat $(FAILED) 2>/dev/null)" != "$$before" ] || echo '$(1)' >>$(FAILED)
endef
HERE = $(MAKE) --no-print-directory -k -Otarget

.PHONY: check
check: all  ## every test, with what is installed
	@mkdir -p $(dir $(FAILED)) && rm -f $(FAILED) $(SKIPPED)
	$(call stage,header and reference page,$(HERE) header layers docs-check install-check make-check)
	$(call stage,the pages as they are printed,$(HERE) pages)
	$(call stage,unit tests,$(HERE) unit)
	$(call stage,end-to-end tests,$(HERE) e2e interop)
	$(call stage,unit and end-to-end tests under AddressSanitizer and UBSan,$(SANITIZED) -k -Otarget unit e2e)
	$(call stage,a minute of chaos,$(HERE) -j1 chaos-minute)
	$(call stage,chaos with the correction switched off is noticed,$(HERE) chaos-self-test)
	$(call stage,a minute of soak and leaks that it notices,$(HERE) -j3 soak-minute soak-self-test)
	$(call stage,fuzzing in short,$(HERE) fuzz FUZZ_SECONDS=$(TEST_FUZZ_SECONDS))
	@if [ -s $(SKIPPED) ]; then echo "skipped:"; sed 's/^/    /' $(SKIPPED); fi
	@if [ -s $(FAILED) ]; then echo "failed:"; sed 's/^/    /' $(FAILED); exit 1; fi
	@echo "every test has passed"
