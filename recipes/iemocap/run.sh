#!/usr/bin/env bash
# IEMOCAP: which of four emotions a turn of a dialog has, over its five sessions.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=IEMOCAP_full_release
upstreams=(tera_mini log_mel fbank)
tasks=(emotion)
source "$recipe/../common.sh"
parse_flags "$@"

if stage 0 download; then
    if [[ -z $data ]]; then
        echo "error: IEMOCAP is given to those who sign its licence, https://sail.usc.edu/iemocap/; name its folder with --data." >&2
        exit 1
    fi
    echo "The recordings are in $data."
fi

if stage 1 prepare; then
    need_data
    "$python" "$recipe/prepare.py" "$data" "$manifests"
fi

if stage 2 train; then train_all; fi

if stage 3 evaluate; then evaluate_all; fi

if stage 4 report; then report_all; fi
