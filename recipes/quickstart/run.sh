#!/usr/bin/env bash
# A pre-trained encoder against log mel frames, on ten spoken digits, in a few minutes on two cores.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=fsdd
upstreams=(log_mel tera_mini)
tasks=(keyword_spotting)
source "$recipe/../common.sh"
parse_flags "$@"

if stage 0 download; then
    if [[ -z $data && -n $download ]]; then
        "$recipe/../fsdd/run.sh" --stage 0 --stop-stage 0 || echo "No recordings could be fetched." >&2
        find_data
    fi
fi

if stage 1 prepare; then
    "$python" "$recipe/prepare.py" "${data:-$recipe/corpus}" "$manifests"
fi

if stage 2 train; then train_all; fi

if stage 3 evaluate; then evaluate_all; fi

if stage 4 report; then report_all; fi
