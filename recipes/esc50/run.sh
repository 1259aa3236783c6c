#!/usr/bin/env bash
# ESC-50: which sound a clip of five seconds is, over the official folds.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=esc50
upstreams=(tera_mini log_mel fbank)
tasks=(sounds)
source "$recipe/../common.sh"
parse_flags "$@"

if stage 0 download; then
    fetch_archive https://github.com/karolpiczak/ESC-50/archive/master.tar.gz --strip-components 1
fi

if stage 1 prepare; then
    need_data
    "$python" "$recipe/prepare.py" "$data" "$manifests"
fi

if stage 2 train; then train_all; fi

if stage 3 evaluate; then evaluate_all; fi

if stage 4 report; then report_all; fi
