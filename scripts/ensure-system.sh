#!/bin/sh
# What the host must bring before `make setup`: Python 3.11 to 3.13 with venv and headers, a C compiler.
# As root on a Debian-like host it installs what is missing; otherwise it says in one line what to install.
set -eu
PYTHON="${1:-python3}"

complete() {
    command -v "$PYTHON" >/dev/null 2>&1 &&
        "$PYTHON" -c 'import sys, ensurepip, venv, sysconfig, pathlib
ok = (3, 11) <= sys.version_info[:2] < (3, 14)
ok = ok and (pathlib.Path(sysconfig.get_paths()["include"]) / "Python.h").exists()
sys.exit(0 if ok else 1)' >/dev/null 2>&1 &&
        command -v gcc >/dev/null 2>&1
}

complete && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends python3 python3-venv python3-dev gcc libc6-dev ca-certificates
fi
complete && exit 0
echo "setup: need Python 3.11 to 3.13 with venv and headers, and gcc (Debian: python3 python3-venv python3-dev gcc)" >&2
exit 1
