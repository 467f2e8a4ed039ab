NEEDS_deflate    := zlib
PACKAGES_deflate := zlib1g-dev
