NEEDS_postgres    := libpq libcrypto
PACKAGES_postgres := libpq-dev libssl-dev
