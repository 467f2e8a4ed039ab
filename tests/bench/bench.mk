# Benchmarks: programs, never tests. Included by tests/tests.mk.
#
#   make bench            everything, about ten minutes; writes docs/performance.md and its picture
#   make bench-protocols  HTTP, lines and MCP, ten minutes; writes its section of docs/performance.md
#   make bench-tls        TLS beside hitch and nginx, five minutes; writes its section
#   make bench-quick      ping alone, two minutes; prints
#   make bench-recovery   how long clients wait when a worker dies
#   make bench-json       the speed of the strict JSON pass
#   make bench-params     a method of five params by table, and as others read them
#   make bench-rows       a long list, written as it goes and as a tree
#   make bench-tables     both, two minutes; writes their section of docs/performance.md
#   make bench-registry   what a registry with a thousand servers costs; writes its chapter of docs/scale.md
#   make slow-clients     a healthy client beside 6,000 that never read, or send by drops
#
# BENCH_ROUNDS (10) and BENCH_SECONDS (0.5) say how often and how long each server is loaded.

BENCH_BIN  := $(B)/tests/bench
BENCH_PROGRAMS := $(addprefix $(BENCH_BIN)/,raw_echo raw_cjson load build.so five.so rows.so)
BENCH_PACKAGES := redis-server redis-tools nginx postgresql
PROTOCOLS_PACKAGES := nginx wrk apache2-utils nghttp2-client libh2o-evloop-dev
BENCH_COMPILE = $(CC) -D_GNU_SOURCE -std=c17 $(WARNINGS) -O2 -g

$(BENCH_BIN)/raw_echo $(BENCH_BIN)/raw_cjson: $(BENCH_BIN)/%: tests/bench/%.c tests/bench/bare.c \
    tests/bench/bare.h
	@mkdir -p $(@D)
	$(Q)$(BENCH_COMPILE) -o $@ $(filter %.c,$^) -lcjson

$(BENCH_BIN)/load: $(addprefix tests/bench/,load.c load_lane.c load_plan.c load_tls.c load.h)
	@mkdir -p $(@D)
	$(Q)$(BENCH_COMPILE) -o $@ $(filter %.c,$^) -lssl -lcrypto

$(addprefix $(BENCH_BIN)/,build.so five.so rows.so): $(BENCH_BIN)/%.so: tests/bench/%.c core/include/pillion/module.h
	@mkdir -p $(@D)
	$(Q)$(BENCH_COMPILE) -shared -fPIC -Icore/include -o $@ $<

# Of Debian's h2o: its library, which is faster than its program, in which a script answers.
$(BENCH_BIN)/h2o_ping: tests/bench/h2o_ping.c
	@mkdir -p $(@D)
	$(Q)$(BENCH_COMPILE) -DH2O_USE_LIBUV=0 -o $@ $< -lh2o-evloop -lssl -lcrypto

# Redis and nginx may be installed; where they cannot be, the benchmark goes on without them.
.PHONY: bench bench-quick bench-deps
bench-deps:
	-$(call install,$(BENCH_PACKAGES))

bench: all fixtures bench-deps $(BENCH_PROGRAMS)  ## measure everything; writes docs/performance.md
	python3 tests/bench/bench.py --build $(B)

bench-quick: all $(BENCH_PROGRAMS)  ## measure ping alone, and print
	python3 tests/bench/bench.py --build $(B) --quick

.PHONY: bench-params
bench-params: all $(BENCH_PROGRAMS)  ## params by table beside cJSON
	python3 tests/bench/params.py $(B)

# What cannot be installed is left out, and the section says so.
.PHONY: bench-protocols
bench-protocols: all $(BENCH_PROGRAMS)  ## measure HTTP, lines and MCP; writes its section of docs/performance.md
	-$(call install,$(PROTOCOLS_PACKAGES))
	-sh tests/interop/packages.sh $(B)/tests/npm
	-$(MAKE) $(BENCH_BIN)/h2o_ping
	python3 tests/bench/protocols.py --build $(B)

.PHONY: bench-tls
bench-tls: all fixtures $(BENCH_PROGRAMS)  ## measure TLS beside hitch and nginx; writes its section
	-$(call install,hitch nginx openssl)
	python3 tests/bench/tls.py --build $(B)

.PHONY: bench-rows
bench-rows: all $(BENCH_PROGRAMS)  ## a long list, with a tree and without
	python3 tests/bench/rows.py $(B)

.PHONY: bench-tables
bench-tables: all $(BENCH_PROGRAMS)  ## both of these; writes their section of docs/performance.md
	python3 tests/bench/tables.py $(B)

.PHONY: bench-recovery
bench-recovery: all $(BENCH_PROGRAMS)  ## how long clients wait when a worker dies
	python3 tests/bench/recovery.py --build $(B)

$(B)/tests/bench/json_speed: tests/bench/json_speed.c $(B)/libpillion.a
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(LDFLAGS_ALL) -o $@ $< $(B)/libpillion.a $(LIBS)

# A healthy client beside SLOW_CLIENTS that never read, or send by drops. SLOW_SECONDS for each size.
SLOW_CLIENTS ?= 6000
SLOW_SECONDS ?= 4
$(BENCH_BIN)/slow_clients: tests/bench/slow_clients.c
	@mkdir -p $(@D)
	$(Q)$(BENCH_COMPILE) -o $@ $<

.PHONY: slow-clients
slow-clients: all $(BENCH_BIN)/slow_clients  ## a healthy client beside 6,000 that never read or drip
	$(BENCH_BIN)/slow_clients $(B)/pillion $(B)/modules/ping.so $(SLOW_CLIENTS) $(SLOW_SECONDS)

.PHONY: bench-json
bench-json: $(B)/tests/bench/json_speed  ## the speed of the strict JSON pass
	$<

# Without real servers where the plugin for registries was not built.
.PHONY: bench-registry
bench-registry: all fixtures  ## what a registry with a thousand servers costs; writes its chapter of docs/scale.md
	-$(call install,etcd-server)
	python3 tests/bench/registry.py --build $(B) --write
