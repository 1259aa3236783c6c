#!/usr/bin/env bash
# Free Spoken Digit Dataset: which digit, which digit from few examples or new speakers, which speaker.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=fsdd
upstreams=(tera_mini log_mel fbank)
tasks=(keyword_spotting)
small_tasks=(keyword_spotting few_shot)
source "$recipe/../common.sh"
parse_flags "$@"

commit=26eb9aaf76e81b692f806f9140c2d2777410d7a1
url=https://github.com/Jakobovski/free-spoken-digit-dataset/archive/$commit.tar.gz

# A few-shot run draws its own training items: draw N is `train_5shot_seedN`.
settings_of() { [[ $1 != few_shot ]] || echo "data.train=train_5shot_seed$3.jsonl.gz"; }

if stage 0 download; then
    if [[ -n $data ]]; then
        echo "The recordings are in $data."
    else
        part=data/downloads/fsdd.part
        rm -rf "$part" && mkdir -p "$part"
        if ! curl --fail --silent --show-error --location --retry 2 "$url" |
            tar --extract --gzip --strip-components 1 --directory "$part"; then
            echo "error: $url could not be downloaded; fetch and unpack it elsewhere and give the folder with --data." >&2
            exit 1
        fi
        "$python" "$recipe/prepare.py" "$part" --verify
        mv "$part" data/downloads/fsdd
        find_data
    fi
fi

if stage 1 prepare; then
    need_data
    "$python" "$recipe/prepare.py" "$data" "$manifests" --split published
    "$python" "$recipe/prepare.py" "$data" "$manifests/speaker_disjoint" --split speaker_disjoint
fi

if stage 2 train; then train_all; fi

if stage 3 evaluate; then evaluate_all; fi

if stage 4 report; then report_all; fi
