#!/usr/bin/env bash
# Telephone prompts of one speaker: what is said, in letters.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=asterisk_en
upstreams=(tera_mini log_mel)
tasks=(asr)
small_tasks=(asr)
source "$recipe/../common.sh"
parse_flags "$@"

if stage 0 download; then
    if [[ -n $data ]]; then
        echo "The recordings are in $data."
    else
        echo "error: there is no download; make the folder as $recipe/README.md says, and name it with --data." >&2
        exit 1
    fi
fi

if stage 1 prepare; then
    need_data
    "$python" "$recipe/prepare.py" "$data" "$manifests"
fi

if stage 2 train; then train_all; fi

if stage 3 evaluate; then evaluate_all; fi

if stage 4 report; then report_all; fi
