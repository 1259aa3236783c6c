#!/usr/bin/env bash
# ESC-10: which sound a clip of five seconds is, over the official folds.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=esc10_16k
upstreams=(distil_mini tera_mini log_mel fbank)
tasks=(sounds)
source "$recipe/../common.sh"

# The newest commit holds no sound any more.
download() { fetch_repository https://github.com/karolpiczak/ESC-10.git 553c8f1 "$1"; }

run_stages "$@"
