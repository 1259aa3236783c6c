#!/usr/bin/env bash
# Pre-train `tera_mini` on freely licensed speech: 0 pool, 1 prepare, 2 pre-train, 4 report with reconstructions.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=ssl_union
upstreams=(tera)
tasks=(tera_mini_first tera_mini tera_mini_views tera_mini_voices tera_mini_last)
source "$recipe/../common.sh"
parse_flags "$@"

# Each stage goes on from the one before.
settings_of() {
    case $1 in
        tera_mini) echo "init=$(run_folder tera_mini_first "$2" "$3")" ;;
        tera_mini_views) echo "init=$(run_folder tera_mini "$2" "$3")" ;;
        tera_mini_voices) echo "init=$(run_folder tera_mini_views "$2" "$3")" ;;
        tera_mini_last) echo "init=$(run_folder tera_mini_voices "$2" "$3")" ;;
    esac
}

pretrain_run() {
    # shellcheck disable=SC2046  # one word a setting
    audiossl pretrain "$recipe/$1.yaml" "seed=$3" "data.dir=$manifests" $(settings_of "$1" "$2" "$3") \
        "${overrides[@]}" --out "$4" --overwrite
}

if stage 0 download; then
    if [[ -z $data ]]; then
        echo "error: the pool has several sources; see $recipe/README.md, and name the folder with --data." >&2
        exit 1
    fi
    echo "The recordings are listed in $data."
fi

if stage 1 prepare; then
    need_data
    "$python" "$recipe/prepare.py" "$data/manifest.csv" "$manifests"
fi

if stage 2 pre-train; then for_each_run pretrain_run; fi

# Pre-training has nothing to evaluate beyond the dev loss, which stage 2 logs.
if stage 3 evaluate; then echo "See the dev loss in the report; the other recipes evaluate the encoder."; fi

if stage 4 report; then
    folders=()
    for_each_run list_run
    audiossl report "${folders[@]}" --out "$out/report"
fi
