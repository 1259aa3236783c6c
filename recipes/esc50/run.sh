#!/usr/bin/env bash
# ESC-50: which sound a clip of five seconds is, over the official folds.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=esc50
upstreams=(distil_mini tera_mini log_mel fbank)
tasks=(sounds)
source "$recipe/../common.sh"

download() { fetch_archive https://github.com/karolpiczak/ESC-50/archive/master.tar.gz "$1" --strip-components 1; }

run_stages "$@"
