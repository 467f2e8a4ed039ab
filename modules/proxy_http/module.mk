NEEDS_proxy_http    := libcurl
PACKAGES_proxy_http := libcurl4-openssl-dev
