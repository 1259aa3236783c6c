#!/usr/bin/env bash
# Speech Commands: which of ten words is said in a second, or another one, or none.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=speech_commands
upstreams=(tera_mini log_mel fbank)
tasks=(keyword_spotting)
source "$recipe/../common.sh"
parse_flags "$@"

url=http://download.tensorflow.org/data

if stage 0 download; then
    fetch_archive "$url/speech_commands_v0.01.tar.gz"
    if [[ $data == data/downloads/* && ! -d ${data}_test_set ]]; then
        (corpus=speech_commands_test_set data="" && fetch_archive "$url/speech_commands_test_set_v0.01.tar.gz")
    fi
fi

if stage 1 prepare; then
    need_data
    test_set=()
    [[ ! -d ${data}_test_set ]] || test_set=(--test-set "${data}_test_set")
    "$python" "$recipe/prepare.py" "$data" "$manifests" "${test_set[@]}"
fi

if stage 2 train; then train_all; fi

if stage 3 evaluate; then evaluate_all; fi

if stage 4 report; then report_all; fi
