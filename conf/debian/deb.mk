# Debian packages: see docs/packages.md. Included by the top Makefile.

DEB_PACKAGES := build-essential debhelper $(RUN_PACKAGES)

.PHONY: deb deps-deb deps-packages
deps-deb:  ## install what `make deb` needs
	$(call install,$(DEB_PACKAGES))

deps-packages:
	$(call install,$(DEB_PACKAGES) debootstrap lintian python3)

deb: deps-deb  ## build Debian packages in build/deb
	$(Q)sh conf/debian/build.sh $(B)/deb $(VERSION)

# Not a part of `make check`: it installs packages in a system of its own, and needs to be root.
.PHONY: packages-test
packages-test: deps-packages  ## build, install, upgrade and remove the packages in a Debian of their own
	$(Q)python3 tests/packages/packages.py $(abspath $(B))
