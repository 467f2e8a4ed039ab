NEEDS_redis    := hiredis
PACKAGES_redis := libhiredis-dev
