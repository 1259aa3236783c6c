#!/usr/bin/env bash
# Speech Commands: which of ten words is said in a second, or another one, or none.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=speech_commands
upstreams=(distil_mini tera_mini log_mel fbank)
tasks=(keyword_spotting)
source "$recipe/../common.sh"

url=http://download.tensorflow.org/data

# The test set first: its place is beside the recordings, and those count as there when all has been fetched.
download() {
    fetch_archive "$url/speech_commands_test_set_v0.01.tar.gz" "data/downloads/${corpus}_test_set"
    fetch_archive "$url/speech_commands_v0.01.tar.gz" "$1"
}

prepare() {
    local test_set=()
    [[ ! -d ${data}_test_set ]] || test_set=(--test-set "${data}_test_set")
    "$python" "$recipe/prepare.py" "$data" "$manifests" "${test_set[@]}"
}

run_stages "$@"
