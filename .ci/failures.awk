# The lines of a run's log that name what failed: check's words for a test that failed or could not
# run; what interop, chaos, the browser and the pages say of a case; the programs that `make check`
# lists; what a sanitizer, a fuzzer or the shell has found; the last line of Python's tracebacks; and
# make's own.

# `make check` says "failed:" and names a program or a part in each of the lines that follow.
/^failed:$/ { listed = 1 }
listed && !/^failed:$/ && !/^    / { listed = 0 }

listed ||
/^failed: / ||
/:[FE]:/ ||
/ERROR: (Address|Leak|Thread)Sanitizer|ERROR: libFuzzer|runtime error:|^SUMMARY: / ||
/^[A-Za-z_.]+(Error|Exception|Expired|Failure)(: |$)/ ||
/\*\*\*/
