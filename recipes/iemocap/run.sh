#!/usr/bin/env bash
# IEMOCAP: which of four emotions a turn of a dialog has, over its five sessions.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=IEMOCAP_full_release
upstreams=(distil_mini tera_mini log_mel fbank)
tasks=(emotion)
source "$recipe/../common.sh"

download() {
    fail "IEMOCAP is given to those who sign its licence, https://sail.usc.edu/iemocap/; name its folder with --data."
}

run_stages "$@"
