#!/usr/bin/env bash
# Provides strace. Where it is missing, it is installed, provided that SHOAL_TEST_ENGINE=install or CI=true, and that this runs as root on a
# system with apt. Exit code 3: it is not available; the last line gives the reason.
set -euo pipefail

if ! command -v strace >/dev/null; then
  [[ ${SHOAL_TEST_ENGINE:-} == install || ${CI:-} == true || ${CI:-} == 1 ]] && [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || {
    echo "strace is not installed; root on Debian or Ubuntu can install it with SHOAL_TEST_ENGINE=install"
    exit 3
  }
  export DEBIAN_FRONTEND=noninteractive
  { apt-get install -y -qq --no-install-recommends strace || { apt-get update -qq && apt-get install -y -qq --no-install-recommends strace; }; } >&2
fi
strace -f --seccomp-bpf -o /dev/null true 2>/dev/null || { echo "strace may not trace processes on this machine"; exit 3; }
