#!/usr/bin/env bash
# nEMO: which of six emotions a Polish actor plays, for actors who are not in training.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=nemo_mini
upstreams=(tera_mini log_mel fbank)
tasks=(emotion)
small_tasks=(emotion)
source "$recipe/../common.sh"
parse_flags "$@"

if stage 0 download; then
    fetch_repository https://github.com/amu-cai/nEMO.git 66de9999a8f2f605eb5f64841790aa5cb0877782
fi

if stage 1 prepare; then
    need_data
    "$python" "$recipe/prepare.py" "$data" "$manifests"
fi

if stage 2 train; then train_all; fi

if stage 3 evaluate; then evaluate_all; fi

if stage 4 report; then report_all; fi
