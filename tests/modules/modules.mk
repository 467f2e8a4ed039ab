# Modules for the tests, most of them broken in one way: see the first line of each. Built as any user
# would build theirs.

FIXTURE_C  := $(patsubst tests/modules/%.c,$(B)/tests/modules/%.so,$(sort $(wildcard tests/modules/*.c)))
FIXTURE_CC := $(patsubst tests/modules/%.cc,$(B)/tests/modules/%.so,$(sort $(wildcard tests/modules/*.cc)))
FIXTURE_SO := $(FIXTURE_C) $(FIXTURE_CC)

$(FIXTURE_C): $(B)/tests/modules/%.so: tests/modules/%.c core/include/pillion/module.h
	@mkdir -p $(@D)
	$(Q)$(CC) -w $(CFLAGS) $(SANFLAGS) -shared -fPIC -Icore/include -o $@ $<

$(FIXTURE_CC): $(B)/tests/modules/%.so: tests/modules/%.cc core/include/pillion/module.h $(wildcard modules/samples/cxx/*.hh)
	@mkdir -p $(@D)
	$(Q)$(CXX) -std=c++17 -Wall $(CFLAGS) $(SANFLAGS) -shared -fPIC -Icore/include -o $@ $<

# A module of everything, compiled against each header that there ever was: tests/abi has them.
ABI_VERSIONS := $(patsubst tests/abi/%/pillion/module.h,%,$(wildcard tests/abi/*/pillion/module.h))
FIXTURE_ABI  := $(ABI_VERSIONS:%=$(B)/tests/modules/abi-%.so)
FIXTURE_SO   += $(FIXTURE_ABI)

$(FIXTURE_ABI): $(B)/tests/modules/abi-%.so: tests/abi/every.c tests/abi/%/pillion/module.h
	@mkdir -p $(@D)
	$(Q)$(CC) -Wall $(CFLAGS) $(SANFLAGS) -shared -fPIC -Itests/abi/$* -o $@ $<

.PHONY: fixtures
fixtures: $(FIXTURE_SO)
