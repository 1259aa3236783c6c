#!/usr/bin/env bash
# VoxCeleb1: are two recordings of one speaker, for speakers that nobody trained on; and which of 1251 speakers is it.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=voxceleb1
upstreams=(tera_mini log_mel)
tasks=(speaker_verification)
source "$recipe/../common.sh"
parse_flags "$@"

if stage 0 download; then
    if [[ -z $data ]]; then
        echo "error: VoxCeleb1 is got from https://www.robots.ox.ac.uk/~vgg/data/voxceleb/; name its folder with --data." >&2
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
