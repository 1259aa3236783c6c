#!/usr/bin/env bash
# TIMIT: which phones are spoken, and which at each moment.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=TIMIT
upstreams=(distil_mini tera_mini log_mel)
tasks=(phone_recognition frames)
source "$recipe/../common.sh"

download() { fail "TIMIT is sold by the Linguistic Data Consortium (LDC93S1); name the unpacked folder with --data."; }

run_stages "$@"
