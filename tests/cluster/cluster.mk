# A cluster on one machine: see cluster.py. Included by tests/tests.mk.
#
#   make cluster             every event, for CLUSTER_SECONDS (300) at least; CLUSTER_SEED=N to repeat,
#                            CLUSTER_ONLY=kill,drain for these alone
#   make cluster-minute      the form for continuous integration: some events, and what follows
#   make cluster-self-check  hosts that lie, forget, repeat and are silent are noticed
#
# It needs root for its network namespaces, etcd and HAProxy, and is skipped with a word otherwise.

CLUSTER_SECONDS  ?= 300
CLUSTER_PACKAGES := etcd-server haproxy iproute2 util-linux
CLUSTER_TOOLS    := $(B)/tests/cluster/rough $(B)/tests/cluster/clock_off.so
CLUSTER = PILLION_BUILD=$(abspath $(B)) python3 tests/cluster/cluster.py $(if $(CLUSTER_SEED),--seed $(CLUSTER_SEED))

$(B)/tests/cluster/rough: tests/cluster/rough.c
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -std=c17 $(WARNINGS) -O2 -g -o $@ $<

$(B)/tests/cluster/clock_off.so: tests/cluster/clock_off.c
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -std=c17 -Wall -O2 -g -shared -fPIC -o $@ $<

.PHONY: cluster cluster-minute cluster-self-check cluster-deps
cluster-deps:
	-$(call install,$(CLUSTER_PACKAGES))

cluster: all fixtures $(CLUSTER_TOOLS) cluster-deps  ## five hosts, etcd and HAProxy in namespaces: hosts come and go under load
	$(CLUSTER) --seconds $(CLUSTER_SECONDS) $(if $(CLUSTER_ONLY),--only $(CLUSTER_ONLY))

cluster-minute: all fixtures $(CLUSTER_TOOLS) cluster-deps
	$(CLUSTER) --seconds 60 --only kill,partition,drain,upgrade,etcd-leader,registry

cluster-self-check: all fixtures $(CLUSTER_TOOLS) cluster-deps
	$(CLUSTER) --self-check
