# The samples: whole modules for authors to read, to try and to begin with. NAME/NAME.c, .cc or .rs
# becomes samples/NAME.so in the build, and NAME/test.c a program on <pillion/test.h> that tests it.
# Neither `make all` builds them nor `make install` installs them. Included by the top Makefile.
#
# As with modules, NAME/module.mk names the libraries that a sample needs and their packages; where
# one is missing, or there is no rustc, that sample alone is left out.

ALL_SAMPLES := $(sort $(notdir $(patsubst %/,%,$(wildcard modules/samples/*/))))
include $(wildcard $(ALL_SAMPLES:%=modules/samples/%/module.mk))
SAMPLE_NEEDS := $(sort $(foreach s,$(ALL_SAMPLES),$(NEEDS_$(s))))
FOUND_NEEDS  += $(shell command -v pkg-config >/dev/null && \
                    for p in $(SAMPLE_NEEDS); do pkg-config --exists $$p && echo $$p; done)
SAMPLES      := $(foreach s,$(ALL_SAMPLES),$(call can_build,$(s)))
SAMPLES      := $(filter-out $(if $(shell command -v rustc),,rust),$(SAMPLES))

missing      = there is no $(or $(filter-out $(FOUND_NEEDS),$(NEEDS_$(or $(1),$(s)))),rustc)

# $(call sample_of,cc): those that are written in it.
sample_of = $(filter $(patsubst modules/samples/%/,$(B)/samples/%.so,$(dir $(wildcard modules/samples/*/*.$(1)))),\
                $(SAMPLES:%=$(B)/samples/%.so))
SAMPLE_C  := $(filter-out $(call sample_of,cc) $(call sample_of,rs),$(SAMPLES:%=$(B)/samples/%.so))
SAMPLE_CC := $(call sample_of,cc)
SAMPLE_RS := $(call sample_of,rs)
SAMPLE_SO := $(SAMPLE_C) $(SAMPLE_CC) $(SAMPLE_RS)

.SECONDEXPANSION:
$(SAMPLE_C): $(B)/samples/%.so: modules/samples/$$*/$$*.c core/include/pillion/module.h
	@mkdir -p $(@D)
	$(if $(Q),@echo "  SO   $@")
	$(Q)$(CC) -D_GNU_SOURCE -std=c17 $(WARNINGS) $(CFLAGS) $(SANFLAGS) -shared -fPIC -Icore/include \
	    $(if $(NEEDS_$*),$$(pkg-config --cflags $(NEEDS_$*))) -o $@ $< \
	    $(if $(NEEDS_$*),$$(pkg-config --libs $(NEEDS_$*)))

CXX_WARNINGS := -Wall -Wextra -Wshadow -Wconversion $(if $(SANITIZE),,-Werror)
$(SAMPLE_CC): $(B)/samples/%.so: modules/samples/$$*/$$*.cc $$(wildcard modules/samples/%/*.hh) core/include/pillion/module.h
	@mkdir -p $(@D)
	$(if $(Q),@echo "  SO   $@")
	$(Q)$(CXX) -std=c++17 $(CXX_WARNINGS) $(CFLAGS) $(SANFLAGS) -shared -fPIC -Icore/include -o $@ $<

$(SAMPLE_RS): $(B)/samples/%.so: $$(wildcard modules/samples/%/*.rs)
	@mkdir -p $(@D)
	$(if $(Q),@echo "  SO   $@")
	$(Q)env -u MAKEFLAGS -u MFLAGS rustc --edition 2021 --crate-type cdylib -D warnings -O -C strip=debuginfo -o $@ \
	    modules/samples/$*/$*.rs

.PHONY: samples
samples: $(SAMPLE_SO)  ## build the sample modules of modules/samples in build/samples/
	@$(foreach s,$(filter-out $(SAMPLES),$(ALL_SAMPLES)),echo "samples/$(s).so is left out: $(missing)";)

# Their tests, each as an author would build it, in the folder of its module.
SAMPLE_TEST := $(SAMPLES:%=$(B)/samples/test_%)
RUN_SAMPLE  := $(ALL_SAMPLES:%=run-sample-%)

$(SAMPLE_TEST): $(B)/samples/test_%: modules/samples/%/test.c modules/samples/check_main.h \
    $(B)/samples/%.so $(B)/libpillion-test.so
	$(if $(Q),@echo "  TEST $@")
	$(Q)$(CC) -D_GNU_SOURCE -std=c17 $(WARNINGS) $(CFLAGS) $(SANFLAGS) -Icore/include \
	    $(if $(NEEDS_$*),$$(pkg-config --cflags $(NEEDS_$*))) -o $@ $< \
	    -L$(B) -Wl,-rpath,$(abspath $(B)) -lpillion-test \
	    $(if $(NEEDS_$*),$$(pkg-config --libs $(NEEDS_$*))) $(CHECK_LIBS) -pthread

.PHONY: $(RUN_SAMPLE)
$(SAMPLES:%=run-sample-%): run-sample-%: $(B)/samples/test_%
	$(Q)cd $(B)/samples && $(TEST_ENV) ./test_$* || { echo $< >>$(FAILED); exit 1; }
$(filter-out $(SAMPLES:%=run-sample-%),$(RUN_SAMPLE)): run-sample-%:
	@echo "the sample $*: $(call missing,$*)" | tee -a $(SKIPPED)
