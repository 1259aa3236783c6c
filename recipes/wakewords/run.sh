#!/usr/bin/env bash
# Six wake words (Picovoice's wake word benchmark): which word was spoken.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=wakewords
upstreams=(tera_mini log_mel fbank)
tasks=(keyword_spotting)
small_tasks=(keyword_spotting)
source "$recipe/../common.sh"
parse_flags "$@"

url=https://github.com/Picovoice/wake-word-benchmark.git
commit=84919190fb1891bf0936dcb577d9268e467f876f

# git names content by its hash: what is checked out is what that commit holds, byte for byte.
download() {
    rm -rf "$1" && mkdir -p "$1" && git -C "$1" init --quiet &&
        git -C "$1" fetch --quiet --depth 1 "$url" "$commit" && git -C "$1" checkout --quiet FETCH_HEAD
}

if stage 0 download; then
    if [[ -n $data ]]; then
        echo "The recordings are in $data."
    elif download data/downloads/wakewords.part; then
        mv data/downloads/wakewords.part data/downloads/wakewords
        find_data
    else
        echo "error: $url could not be fetched; clone it elsewhere, check out $commit and give its folder with --data." >&2
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
