#!/usr/bin/env bash
# nEMO: which of six emotions a Polish actor plays, for actors who are not in training.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=nemo_mini
upstreams=(distil_mini tera_mini log_mel fbank)
tasks=(emotion)
source "$recipe/../common.sh"

download() { fetch_repository https://github.com/amu-cai/nEMO.git 66de9999a8f2f605eb5f64841790aa5cb0877782 "$1"; }

run_stages "$@"
