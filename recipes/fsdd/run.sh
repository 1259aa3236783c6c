#!/usr/bin/env bash
# Free Spoken Digit Dataset: which digit, which digit from few examples or new speakers, which speaker.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=fsdd
upstreams=(distil_mini tera_mini log_mel fbank)
tasks=(keyword_spotting)
source "$recipe/../common.sh"

commit=26eb9aaf76e81b692f806f9140c2d2777410d7a1
url=https://github.com/Jakobovski/free-spoken-digit-dataset/archive/$commit.tar.gz

download() {
    fetch_archive "$url" "$1" --strip-components 1
    "$python" "$recipe/prepare.py" "$1" --verify
}

prepare() {
    "$python" "$recipe/prepare.py" "$data" "$manifests" --split published
    "$python" "$recipe/prepare.py" "$data" "$manifests/speaker_disjoint" --split speaker_disjoint
}

# A few-shot run draws its own training items: draw N is `train_5shot_seedN`.
settings_of() { [[ $1 != few_shot ]] || echo "data.train=train_5shot_seed$3.jsonl.gz"; }

run_stages "$@"
