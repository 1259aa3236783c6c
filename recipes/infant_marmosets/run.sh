#!/usr/bin/env bash
# InfantMarmosetsVox: type of call and caller of infant marmosets, 44.1 kHz.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=InfantMarmosetsVox native_hz=44100
upstreams=(log_mel@time_expand tera_mini@{resample,time_expand,band_split})
tasks=(calltype caller)
source "$recipe/../common.sh"
parse_flags "$@"

archives=https://zenodo.org/records/10130104/files

if stage 0 download; then
    if [[ -n $data ]]; then
        echo "The recordings are in $data."
    else
        part=data/downloads/InfantMarmosetsVox.part
        mkdir -p "$part"
        for name in documentation twin_{1..5}; do
            if ! curl --fail --silent --show-error --location --retry 2 "$archives/InfantMarmosetsVox_$name.tar.gz" |
                tar --extract --gzip --directory "$part"; then
                echo "error: $archives/InfantMarmosetsVox_$name.tar.gz could not be fetched; unpack it elsewhere and" \
                    "give the folder with --data." >&2
                exit 1
            fi
        done
        mv "$part" data/downloads/InfantMarmosetsVox
        find_data
    fi
fi

if stage 1 prepare; then
    need_data
    "$python" "$recipe/prepare.py" "$data" "$manifests" --split recording
    "$python" "$recipe/prepare.py" "$data" "$manifests/published" --split published
fi

if stage 2 train; then train_all; fi

if stage 3 evaluate; then evaluate_all; fi

if stage 4 report; then report_all; fi
