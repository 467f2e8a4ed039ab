NEEDS_auth    := libcrypto
PACKAGES_auth := libssl-dev
