# Fuzzing with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer. Included by tests.mk.
#
#   make fuzz                  every target, FUZZ_SECONDS each
#   make fuzz-NAME             tests/fuzz/fuzz_NAME.c alone
#   make fuzz-long             FUZZ_RUNS (10^9) over all targets, in as many parts as one likes: what was
#                              done is kept in FUZZ_DIR, also when it is interrupted; see long.py
#   make fuzz-totals           prints what fuzz-long has done so far
#
# The core is compiled anew for it, with coverage. Seeds are read from seeds/NAME, and a target named
# NAME_MORE has those of NAME too, with its dictionary NAME.dict. What is found is kept in
# $(B)/fuzz/corpus; an input that fails is left in $(B)/fuzz as NAME-crash-….

FUZZ_SECONDS ?= 60
FUZZ_CC      ?= clang
FUZZ_FLAGS   := -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all
FUZZ_COMPILE  = $(FUZZ_CC) $(CPPFLAGS_ALL) -std=c17 $(WARNINGS) $(FUZZ_FLAGS) -MMD -MP

FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_NAMES := $(filter-out $(if $(wildcard /usr/share/llhttp/llhttp.c),,http),$(FUZZ_NAMES))
FUZZ_BIN   := $(FUZZ_NAMES:%=$(B)/fuzz/fuzz_%)
FUZZ_CORE  := $(patsubst %.c,$(B)/fuzz/obj/%.o,\
                $(sort $(wildcard core/base/*.c core/conf/*.c core/event/*.c core/net/*.c \
                core/wire/*.c core/rpc/*.c core/module/elf*.c core/module/manifest.c \
                core/module/descriptor.c core/module/declared.c core/module/hook_error.c core/module/method_schema.c \
                core/registry/etcd_answer.c core/registry/wanted.c core/registry/instances.c core/registry/record.c \
                core/registry/service_counts.c core/registry/method_sets.c core/registry/dns_name.c core/registry/cares/answer.c)))

$(FUZZ_CORE): $(B)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(if $(Q),@echo "  FUZZ $<")
	$(Q)$(FUZZ_COMPILE) -fsanitize=fuzzer-no-link,address,undefined -c -o $@ $<

# "Did you mean" compares an unknown name with every known one. With coverage that alone is two
# thirds of fuzz_conf's time, and guides it to nothing.
$(B)/fuzz/obj/core/base/suggest.o: FUZZ_FLAGS += -fno-sanitize-coverage=edge,inline-8bit-counters,trace-cmp,pc-table,indirect-calls

$(B)/fuzz/core.a: $(FUZZ_CORE)
	$(Q)rm -f $@ && ar rcs $@ $^

$(FUZZ_BIN): $(B)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(B)/fuzz/core.a
	$(if $(Q),@echo "  FUZZ $@")
	$(Q)$(FUZZ_COMPILE) -fsanitize=fuzzer,address,undefined -pthread -o $@ $< $(B)/fuzz/core.a \
	    $(LIBS) -lm

.PHONY: fuzz fuzz-build $(FUZZ_NAMES:%=fuzz-%)
fuzz-build: $(FUZZ_BIN)  ## compile the fuzz targets

fuzz: $(FUZZ_NAMES:%=fuzz-%)  ## every fuzz target for FUZZ_SECONDS (60) each

FUZZ_DIR  ?= $(B)/fuzz-long
FUZZ_RUNS ?= 1000000000
FUZZ_JOBS ?= 1
FUZZ_LONG  = python3 tests/fuzz/long.py --build $(B) --state $(FUZZ_DIR) --runs $(FUZZ_RUNS) --jobs $(FUZZ_JOBS)

.PHONY: fuzz-long fuzz-totals
fuzz-long: $(FUZZ_BIN) $(MODULE_SO)  ## 10^9 runs over all fuzz targets; goes on where it was interrupted
	$(FUZZ_LONG)

fuzz-totals: $(FUZZ_BIN)
	$(Q)$(FUZZ_LONG) --totals

fuzz_family = $(firstword $(subst _, ,$(1)))

$(FUZZ_NAMES:%=fuzz-%): fuzz-%: $(B)/fuzz/fuzz_%
	@mkdir -p $(B)/fuzz/corpus/$*
	$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 -verbosity=0 \
	    -artifact_prefix=$(B)/fuzz/$*- \
	    $(addprefix -dict=,$(wildcard tests/fuzz/$(call fuzz_family,$*).dict)) \
	    $(B)/fuzz/corpus/$* \
	    $(sort $(wildcard tests/fuzz/seeds/$* tests/fuzz/seeds/$(call fuzz_family,$*))) $(FUZZ_SEEDS)

# A second opinion on HTTP: Debian's node-llhttp has the sources of a parser, and no library. Without
# them this target is left out.
LLHTTP := $(wildcard /usr/share/llhttp/*.c)
LLHTTP_OBJ := $(patsubst /usr/share/llhttp/%.c,$(B)/fuzz/llhttp/%.o,$(LLHTTP))
$(LLHTTP_OBJ): $(B)/fuzz/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) -O1 -w -isystem /usr/share/include/llhttp -c -o $@ $<
$(B)/fuzz/fuzz_http: $(LLHTTP_OBJ)
$(B)/fuzz/fuzz_http: LIBS += $(LLHTTP_OBJ)
$(B)/fuzz/fuzz_http: CPPFLAGS_ALL += -isystem /usr/share/include/llhttp

# glibc reads the answers.
$(B)/fuzz/fuzz_dns: LIBS += -lresolv

# Modules are not kept as seeds: they are built.
fuzz-modinfo: FUZZ_SEEDS = $(B)/modules
fuzz-modinfo: $(MODULE_SO)

-include $(FUZZ_CORE:.o=.d) $(FUZZ_BIN:=.d)
