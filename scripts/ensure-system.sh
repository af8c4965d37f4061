#!/bin/sh
# What the host must bring before `make setup`: Python 3.11 to 3.13 with venv and headers, a C compiler, OpenSSL's
# headers; valgrind too where it can be had (it counts instructions for the budgets).
# As root on a Debian-like host it installs what is missing; otherwise it says in one line what to install.
set -eu
PYTHON="${1:-python3}"

complete() {
    command -v "$PYTHON" >/dev/null 2>&1 &&
        "$PYTHON" -c 'import sys, ensurepip, venv, sysconfig, pathlib
ok = (3, 11) <= sys.version_info[:2] < (3, 14)
ok = ok and (pathlib.Path(sysconfig.get_paths()["include"]) / "Python.h").exists()
sys.exit(0 if ok else 1)' >/dev/null 2>&1 &&
        command -v gcc >/dev/null 2>&1 &&
        echo '#include <openssl/ssl.h>' | gcc -E - >/dev/null 2>&1
}

wanted() { complete && command -v valgrind >/dev/null 2>&1; }

wanted && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends python3 python3-venv python3-dev gcc libc6-dev \
        libssl-dev ca-certificates
    apt-get install -y -qq --no-install-recommends valgrind || echo "setup: no valgrind: budgets will be skipped" >&2
fi
complete && exit 0
echo "setup: need Python 3.11 to 3.13 with venv and headers, gcc and OpenSSL headers" \
    "(Debian: python3 python3-venv python3-dev gcc libssl-dev)" >&2
exit 1
