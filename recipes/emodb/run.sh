#!/usr/bin/env bash
# Berlin EmoDB: which of seven emotions a German actor plays, for actors who are not in training.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=emodb
upstreams=(distil_mini tera_mini log_mel fbank)
tasks=(emotion)
source "$recipe/../common.sh"

download() {
    fail "EmoDB is to be fetched by hand (http://emodb.bilderbar.info/); name its folder with --data."
}

run_stages "$@"
