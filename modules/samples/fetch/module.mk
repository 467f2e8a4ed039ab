NEEDS_fetch    := libcurl
PACKAGES_fetch := libcurl4-openssl-dev
