#!/usr/bin/env bash
# CREMA-D: which of six emotions an actor plays, for actors who are not in training.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=CREMA-D
upstreams=(distil_mini tera_mini log_mel fbank)
tasks=(emotion)
source "$recipe/../common.sh"

download() {
    fail "CREMA-D is to be cloned by hand with git lfs (github.com/CheyneyComputerScience/CREMA-D); name it with --data."
}

run_stages "$@"
