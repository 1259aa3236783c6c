#!/usr/bin/env bash
# A pre-trained encoder against log mel frames, on ten spoken digits, in a few minutes on two cores.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=fsdd
upstreams=(log_mel distil_mini)
tasks=(keyword_spotting)
source "$recipe/../common.sh"

# Real recordings are fetched for those who ask; it goes on without them.
get_data() {
    if [[ -z $data && -n $download ]]; then
        "$recipe/../fsdd/run.sh" --stage 0 --stop-stage 0 || echo "No recordings could be fetched." >&2
        find_data
    fi
}

# Without real recordings, those that are shipped.
need_data() { data=${data:-$recipe/corpus}; }

run_stages "$@"
