# Pillion's build. `make help` lists what there is.
#
#   B=DIR          where everything is built (default: build); it is also a prefix that can run
#   SANITIZE=LIST  compiler sanitizers, as in SANITIZE=address,undefined (give it a B of its own)
#   CC=clang       another compiler
#   PREFIX=DIR     where `make install` puts things (default: /usr/local); DESTDIR in front of it.
#                  Packages of distributions give places of their own to what "Places" lists below
#   V=1            show the commands

B        ?= build
PREFIX   ?= /usr/local
VERSION  := $(shell sed -n 's/^.define PILLION_VERSION  *"\(.*\)"/\1/p' core/base/version.h)
Q        := $(if $(V),,@)
CC       ?= cc

# ---- Places ---------------------------------------------------------------------------------------

# Where `make install` puts things. HOME_DIR is the server's prefix once it is installed: relative
# paths of the configuration start there.
HOME_DIR    := $(PREFIX)/lib/pillion
CONF_DIR    := $(HOME_DIR)/conf
MODULE_DIR  := $(HOME_DIR)/modules
RUN_DIR     := $(HOME_DIR)/run
EXAMPLE_DIR := $(CONF_DIR)/examples
MONITOR_DIR := $(CONF_DIR)/monitoring
CONTAINER_DIR := $(dir $(MONITOR_DIR))container
BIN_DIR     := $(PREFIX)/bin
LIB_DIR     := $(PREFIX)/lib
LIBRARY_DIR := $(PREFIX)/lib/pillion
INC_DIR     := $(PREFIX)/include
PC_DIR      := $(PREFIX)/lib/pkgconfig
MAN_DIR     := $(PREFIX)/share/man
DOC_DIR     := $(PREFIX)/share/doc/pillion
BASH_DIR    := $(PREFIX)/share/bash-completion/completions
ZSH_DIR     := $(PREFIX)/share/zsh/site-functions
# Where systemd looks for units of /usr/local as well (systemd.unit(5)).
UNIT_DIR    := $(PREFIX)/lib/systemd/system

# ---- Building -------------------------------------------------------------------------------------

# Sanitizers make gcc see truncations that cannot be: there, its warnings are no errors.
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            $(if $(SANITIZE),,-Werror)
OPT      := $(if $(SANITIZE),-O1 -fno-omit-frame-pointer,-O3)
CFLAGS   ?= $(OPT) -g
SANFLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all)
CPPFLAGS_ALL = -D_GNU_SOURCE -Icore -Icore/include $(CPPFLAGS)
# Nothing of the core is loaded by dlopen(3), so thread-local variables need no function call.
CFLAGS_ALL   = -std=c17 $(WARNINGS) -fPIC -fvisibility=hidden -ftls-model=initial-exec -pthread \
               $(CFLAGS) $(SANFLAGS)
LDFLAGS_ALL  = -pthread $(SANFLAGS) $(LDFLAGS)
LIBS         = -lcjson -ldl
COMPILE      = $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP

CORE_SRC    := $(sort $(wildcard core/*/*.c))
CORE_OBJ    := $(CORE_SRC:%.c=$(B)/obj/%.o)
LIB_OBJ     := $(filter-out $(B)/obj/core/cmd/main.o,$(CORE_OBJ))

# A module that needs libraries beyond libc says so in modules/NAME/module.mk: NEEDS_NAME has their
# names as pkg-config knows them, PACKAGES_NAME the Debian packages that have them. Where a library
# is missing, the modules that need it are left out, and nothing else.
ALL_MODULES := $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard modules/*/*.c)))))
include $(wildcard $(ALL_MODULES:%=modules/%/module.mk))
ALL_NEEDS   := $(sort openssl libcurl libcares $(foreach m,$(ALL_MODULES),$(NEEDS_$(m))))
FOUND_NEEDS := $(shell command -v pkg-config >/dev/null && \
                   for p in $(ALL_NEEDS); do pkg-config --exists $$p && echo $$p; done)
can_build    = $(if $(filter-out $(FOUND_NEEDS),$(NEEDS_$(1))),,$(1))
MODULES     := $(foreach m,$(ALL_MODULES),$(call can_build,$(m)))
MODULE_SO   := $(MODULES:%=$(B)/modules/%.so)
# Shared objects that some processes of the server load by themselves (core/base/library.h).
TLS_SO      := $(if $(filter openssl,$(FOUND_NEEDS)),$(B)/tls.so)
REGISTRY_SO := $(if $(filter libcurl,$(FOUND_NEEDS)),$(B)/registry.so)
DNS_SO      := $(if $(filter libcares,$(FOUND_NEEDS)),$(B)/dns.so)
LIBRARY_SO  := $(TLS_SO) $(REGISTRY_SO) $(DNS_SO)
CONF_FILES  := $(patsubst conf/%,$(B)/conf/%,$(wildcard conf/*.conf conf/examples/*.conf conf/examples/*.cfg conf/monitoring/* conf/container/*))

.PHONY: all
all: $(B)/pillion $(B)/libpillion-test.so $(LIBRARY_SO) $(MODULE_SO) $(CONF_FILES) $(B)/man/made | $(B)/run  ## build the server and its modules in build/
	@$(foreach m,$(filter-out $(MODULES),$(ALL_MODULES)),echo "$(m).so is left out: pkg-config knows no $(NEEDS_$(m))";)
	@$(if $(TLS_SO),,echo "tls.so is left out: pkg-config knows no openssl; there is no \`listen … ssl\`")
	@$(if $(REGISTRY_SO),,echo "registry.so is left out: pkg-config knows no libcurl; there is no \`registry\`")
	@$(if $(DNS_SO),,echo "dns.so is left out: pkg-config knows no libcares; there is no \`srv:\`")

# The prefix is part of the binary: it is where an installed server finds its configuration. One that
# is not in the prefix's own conf/ has its whole path there.
INSTALLED_CONF = $(if $(filter $(HOME_DIR)/conf,$(CONF_DIR)),conf,$(CONF_DIR))/pillion.conf
$(B)/obj/core/cmd/prefix.o: CPPFLAGS_ALL += -DPILLION_PREFIX='"$(HOME_DIR)"' \
                                            -DPILLION_CONF='"$(INSTALLED_CONF)"'
$(B)/obj/core/cmd/prefix.o: $(B)/prefix

.PHONY: prefix-changed
$(B)/prefix: prefix-changed
	@mkdir -p $(@D)
	@[ "$$(cat $@ 2>/dev/null)" = '$(HOME_DIR) $(INSTALLED_CONF)' ] || \
	    echo '$(HOME_DIR) $(INSTALLED_CONF)' >$@

$(B)/obj/core/base/library.o: CPPFLAGS_ALL += -DPILLION_LIBRARY='"$(LIBRARY_DIR)"'
$(B)/obj/core/base/library.o: $(B)/prefix

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC   $<")
	$(Q)$(COMPILE) -c -o $@ $<

# The page of a server that can be watched: its parts become one file, and that a part of the binary.
PAGE := core/rpc/page
$(B)/page.html: $(PAGE)/page.html $(wildcard $(PAGE)/*.css $(PAGE)/*.js)
	@mkdir -p $(@D)
	$(Q)awk '/^@include /{ f = "$(PAGE)/" $$2; while ((r = (getline l <f)) > 0) print l; \
	    if (r < 0) { print f ": cannot be read" >"/dev/stderr"; exit 1 } close(f); next } { print }' \
	    $< >$@.new && mv $@.new $@

PAGE_OBJ := $(B)/obj/core/rpc/page.o $(B)/fuzz/obj/core/rpc/page.o
$(PAGE_OBJ): CPPFLAGS_ALL += -Wa,-I$(B)
$(PAGE_OBJ): $(B)/page.html

# Everything but main(), for the server and for the tests.
$(B)/libpillion.a: $(LIB_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

# Modules find the public functions in the executable: exactly those of the list.
$(B)/pillion: $(B)/obj/core/cmd/main.o $(B)/libpillion.a core/module/exports.list
	$(if $(Q),@echo "  LD   $@")
	$(Q)$(CC) $(LDFLAGS_ALL) -Wl,--dynamic-list=core/module/exports.list -o $@ $< \
	    -Wl,--whole-archive $(B)/libpillion.a -Wl,--no-whole-archive $(LIBS)

# $(call library,PACKAGES,MORE): a shared object that a process of the server loads by itself, and its
# libraries as pkg-config knows them, and others: nothing else needs those.
define library
	$(if $(Q),@echo "  SO   $@")
	$(Q)$(CC) $(CPPFLAGS_ALL) -std=c17 $(WARNINGS) $(CFLAGS) $(SANFLAGS) -shared -fPIC \
	    -fvisibility=hidden $(LDFLAGS) $$(pkg-config --cflags $(1)) -o $@ $(filter %.c,$^) \
	    $$(pkg-config --libs $(1)) $(2)
endef

# TLS for the gate and the command line.
$(B)/tls.so: $(wildcard core/tls/openssl/*.[ch]) core/tls/tls.h
	$(call library,openssl)

# HTTP for the registry process.
$(B)/registry.so: $(wildcard core/registry/curl/*.[ch]) core/registry/plugin.h core/registry/http.h core/registry/engine.h
	$(call library,libcurl)

# DNS for the registry process; -lresolv reads the answers.
$(B)/dns.so: $(wildcard core/registry/cares/*.[ch]) core/registry/dns.h core/registry/engine.h
	$(call library,libcares,-lresolv)

# For unit tests of modules: what <pillion/test.h> promises, and what modules call.
$(B)/libpillion-test.so: $(B)/libpillion.a
	$(if $(Q),@echo "  LD   $@")
	$(Q)echo '{ global: pillion_*; local: *; };' >$@.map
	$(Q)$(CC) $(LDFLAGS_ALL) -shared -Wl,--version-script=$@.map -o $@ \
	    -Wl,--whole-archive $< -Wl,--no-whole-archive $(LIBS)

# modules/NAME/*.c become NAME.so, built as any user would build theirs.
.SECONDEXPANSION:
$(MODULE_SO): $(B)/modules/%.so: $$(wildcard modules/%/*.[ch]) $(wildcard modules/*.h) core/include/pillion/module.h
	@mkdir -p $(@D)
	$(if $(Q),@echo "  SO   $@")
	$(Q)$(CC) -D_GNU_SOURCE -std=c17 $(CPPFLAGS) $(WARNINGS) $(CFLAGS) $(SANFLAGS) -shared \
	    -fPIC -fvisibility=hidden $(LDFLAGS) -Icore/include \
	    $(if $(NEEDS_$*),$$(pkg-config --cflags $(NEEDS_$*))) \
	    -o $@ $(filter %.c,$^) $(if $(NEEDS_$*),$$(pkg-config --libs $(NEEDS_$*)))

include modules/samples/samples.mk

# A configuration in the build is there to be edited: one that was is kept when the one that it was
# made from changes, and that is said. What it was made from is remembered in obj/; one of which
# nothing is remembered is moved aside.
$(B)/conf/%: conf/%
	@mkdir -p $(@D) $(dir $(B)/obj/$<)
	$(Q)if [ -e $@ ] && ! [ -e $(B)/obj/$< ] && ! cmp -s $@ $<; then \
	    echo "  MOVED $@ to $@.old"; mv $@ $@.old; \
	fi; \
	if [ -e $@ ] && ! cmp -s $@ $(B)/obj/$< && ! cmp -s $@ $<; then \
	    echo "  KEPT $@, which was edited; \`diff $@ $<\` shows what is new"; touch $@; \
	else cp $< $@; fi; cp $< $(B)/obj/$<

# Manual pages: docs/man, with the lists of commands, options and directives from the binary's own
# tables (core/cmd/manual.h), and those of functions from the public header. A command without a page
# there gets one like command.1.
PAGES := $(filter-out %/command.1,$(wildcard docs/man/*.[1-8]))
$(B)/man/made: $(B)/pillion $(MODULE_SO) $(wildcard docs/man/*) core/include/pillion/module.h
	$(if $(Q),@echo "  MAN  $(@D)")
	$(Q)rm -rf $(@D) && mkdir -p $(addprefix $(@D)/man,1 5 7 8) && set -e; \
	for page in $(filter-out %.7,$(PAGES)); do \
	    $(B)/pillion manual $$page $(MODULE_SO) >$(@D)/man$${page##*.}/$${page##*/}; \
	done; \
	for name in $$($(B)/pillion -h | sed -n 's/^  pillion \([a-z]*\) .*/\1/p'); do \
	    [ -e docs/man/pillion-$$name.1 ] || { \
	        sed "s/@\([a-z]*\) command$$/@\1 $$name/; s/COMMAND/$$(echo $$name | tr a-z A-Z)/" \
	            docs/man/command.1 >$(@D)/page; \
	        $(B)/pillion manual $(@D)/page >$(@D)/man1/pillion-$$name.1; \
	        rm $(@D)/page; }; \
	done; \
	awk -f docs/man/header.awk core/include/pillion/module.h docs/man/pillion-module.7 \
	    >$(@D)/man7/pillion-module.7; \
	touch $@

$(B)/run:
	$(Q)mkdir -p $@

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

# ---- On a fresh machine ---------------------------------------------------------------------------

RUN_PACKAGES  := gcc libc-ares-dev libc6-dev libcjson-dev libcurl4-openssl-dev libssl-dev pkg-config \
                 $(sort $(foreach m,$(ALL_MODULES),$(PACKAGES_$(m))))
TEST_PACKAGES := $(RUN_PACKAGES) bash-completion check curl gdb libsubunit-dev clang libclang-rt-14-dev g++ python3 \
                 apache2-utils etcd-client etcd-server dnsmasq-base haproxy httpie mandoc node-llhttp openssl pgbouncer postgresql procps python3-yaml \
                 prometheus redis-server rustc valgrind wrk zsh $(sort $(foreach s,$(ALL_SAMPLES),$(PACKAGES_$(s))))
# Other distributions of node bring an npm of their own, and Debian's cannot be beside it.
TEST_PACKAGES += $(if $(shell command -v npm),,nodejs npm)
LINT_PACKAGES := $(RUN_PACKAGES) clang clang-format-14
BROWSER_PACKAGES := $(RUN_PACKAGES) chromium python3 $(if $(shell command -v npm),,nodejs npm)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# $(call install,PACKAGES): installs what is missing of them, and says what. Elsewhere than on
# Debian and its kin it prints the list and stops.
define install
	@missing=; \
	for p in $(1); do \
	    [ "$$(dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null)" = installed ] || \
	        missing="$$missing $$p"; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	if ! command -v apt-get >/dev/null; then \
	    echo "Pillion needs these Debian packages, or what they are called here:$$missing" >&2; \
	    echo "Install them, then use \`make all\` or \`make check\` instead." >&2; exit 1; \
	fi; \
	if [ -n "$(SUDO)" ] && ! command -v $(SUDO) >/dev/null; then \
	    echo "There is no sudo here. As root:" >&2; \
	    echo "    apt-get update && apt-get install --no-install-recommends$$missing" >&2; \
	    echo "Then use \`make run\` or \`make test\` again." >&2; exit 1; \
	fi; \
	echo "installing:$$missing"; \
	$(SUDO) apt-get update -qq && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    $$missing >/dev/null
endef

.PHONY: deps deps-test deps-lint deps-browser
deps:  ## install what building and running needs (Debian packages)
	$(call install,$(RUN_PACKAGES))

deps-test:  ## install what the tests need as well
	$(call install,$(TEST_PACKAGES))

deps-lint:  ## install what `make lint` needs
	$(call install,$(LINT_PACKAGES))

deps-browser:  ## install what `make browser-check` needs, which is large
	$(call install,$(BROWSER_PACKAGES))

.PHONY: run
run: deps  ## install what is missing, build, and serve in the foreground on 127.0.0.1:8080
	@$(MAKE) --no-print-directory -j2 all
	$(B)/pillion -p $(B)

.PHONY: test
test: deps-test  ## install what is missing, and run every test
	@$(MAKE) --no-print-directory -j2 check

include tests/tests.mk

# ---- Installing -----------------------------------------------------------------------------------

DOC_FOLDERS := architecture writing-a-module

.PHONY: install uninstall
install: all  ## install below $(DESTDIR)$(PREFIX); a configuration that is there is kept
	install -d $(addprefix $(DESTDIR),$(BIN_DIR) $(CONF_DIR) $(MODULE_DIR) $(RUN_DIR) $(EXAMPLE_DIR) \
	    $(MONITOR_DIR) $(CONTAINER_DIR) $(INC_DIR)/pillion $(LIB_DIR) $(PC_DIR) $(addprefix $(MAN_DIR)/man,1 5 7 8) \
	    $(DOC_FOLDERS:%=$(DOC_DIR)/%) $(UNIT_DIR) $(BASH_DIR) $(ZSH_DIR))
	install -m 755 $(B)/pillion $(DESTDIR)$(BIN_DIR)/pillion
	install -m 644 $(MODULE_SO) $(DESTDIR)$(MODULE_DIR)
	[ -e $(DESTDIR)$(CONF_DIR)/pillion.conf ] || \
	    install -m 644 conf/pillion.conf $(DESTDIR)$(CONF_DIR)/pillion.conf
	install -m 644 core/include/pillion/module.h core/include/pillion/test.h $(DESTDIR)$(INC_DIR)/pillion
	install -m 755 $(B)/libpillion-test.so $(DESTDIR)$(LIB_DIR)
	$(if $(LIBRARY_SO),install -d $(DESTDIR)$(LIBRARY_DIR) && install -m 644 $(LIBRARY_SO) $(DESTDIR)$(LIBRARY_DIR))
	printf '%s\n' 'prefix=$(PREFIX)' 'modulesdir=$(MODULE_DIR)' '' 'Name: pillion' \
	    'Description: modules for the Pillion RPC server' 'Version: $(VERSION)' \
	    'Requires: libcjson' 'Cflags: -I$${prefix}/include' >$(DESTDIR)$(PC_DIR)/pillion.pc
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIB_DIR)' '' 'Name: pillion-test' \
	    'Description: unit tests of modules for the Pillion RPC server' 'Version: $(VERSION)' \
	    'Requires: libcjson' 'Cflags: -I$${prefix}/include' \
	    'Libs: -L$${libdir} -Wl,-rpath,$${libdir} -lpillion-test' \
	    >$(DESTDIR)$(PC_DIR)/pillion-test.pc
	for s in 1 5 7 8; do install -m 644 $(B)/man/man$$s/* $(DESTDIR)$(MAN_DIR)/man$$s || exit 1; done
	install -m 644 README.md LICENSE $(wildcard docs/*.md docs/*.svg) $(DESTDIR)$(DOC_DIR)
	$(foreach f,$(DOC_FOLDERS),install -m 644 docs/$(f)/*.md $(DESTDIR)$(DOC_DIR)/$(f) &&) true
	install -m 644 $(wildcard conf/examples/*) $(DESTDIR)$(EXAMPLE_DIR)
	install -m 644 $(wildcard conf/monitoring/*) $(DESTDIR)$(MONITOR_DIR)
	install -m 644 $(wildcard conf/container/*) $(DESTDIR)$(CONTAINER_DIR)
	install -m 644 conf/completion/pillion.bash $(DESTDIR)$(BASH_DIR)/pillion
	install -m 644 conf/completion/_pillion $(DESTDIR)$(ZSH_DIR)/_pillion
	sed 's|/usr/local/bin|$(BIN_DIR)|' conf/pillion.service >$(DESTDIR)$(UNIT_DIR)/pillion.service

uninstall:  ## take away what install has put there; a changed configuration stays
	rm -f $(addprefix $(DESTDIR),$(BIN_DIR)/pillion $(INC_DIR)/pillion/module.h \
	    $(INC_DIR)/pillion/test.h $(LIB_DIR)/libpillion-test.so $(LIBRARY_DIR)/tls.so $(LIBRARY_DIR)/registry.so $(LIBRARY_DIR)/dns.so $(PC_DIR)/pillion-test.pc \
	    $(PC_DIR)/pillion.pc $(UNIT_DIR)/pillion.service \
	    $(addprefix $(MODULE_DIR)/,$(notdir $(MODULE_SO))))
	rm -f $(DESTDIR)$(BASH_DIR)/pillion $(DESTDIR)$(ZSH_DIR)/_pillion
	rm -f $(addprefix $(DESTDIR)$(MAN_DIR)/,man1/pillion-*.1 man5/pillion.conf.5 \
	    man7/pillion-module.7 man8/pillion.8)
	rm -rf $(addprefix $(DESTDIR),$(DOC_DIR) $(EXAMPLE_DIR) $(MONITOR_DIR) $(CONTAINER_DIR))
	cmp -s conf/pillion.conf $(DESTDIR)$(CONF_DIR)/pillion.conf && \
	    rm -f $(DESTDIR)$(CONF_DIR)/pillion.conf || true
	rmdir $(addprefix $(DESTDIR),$(CONF_DIR) $(MODULE_DIR) $(RUN_DIR) $(HOME_DIR) \
	    $(INC_DIR)/pillion) 2>/dev/null || true

include conf/debian/deb.mk

# ---- For those who work on it ---------------------------------------------------------------------

.PHONY: compile_commands.json
compile_commands.json:  ## for editors and analysers
	@{ echo '['; sep=; for f in $(CORE_SRC); do \
	    printf '%s{"directory":"%s","file":"%s","command":"%s -c %s"}' \
	        "$$sep" '$(CURDIR)' "$$f" '$(subst ",\",$(COMPILE))' "$$f"; sep=', '; \
	done; echo ']'; } > $@

# Versions of clang-format differ in what they make of the same .clang-format.
CLANG_FORMAT = $(shell command -v clang-format-14 || echo clang-format)
SOURCES      = $(shell find core modules tests -name '*.[ch]')

.PHONY: format lint
format:  ## format the sources
	$(Q)$(CLANG_FORMAT) -i $(SOURCES)

lint:  ## look at the formatting, and at the warnings of another compiler
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(SOURCES)
	$(Q)$(MAKE) --no-print-directory B=$(B)/clang CC=clang CXX=clang++ all samples

.PHONY: clean
clean:  ## remove what was built
	rm -rf $(B) compile_commands.json

.PHONY: help
help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18
