#!/usr/bin/env bash
# Pre-train `tera_mini` on freely licensed speech: 0 pool, 1 prepare, 2 pre-train, 4 report with reconstructions.
# Another encoder: --task distil_mini_first --task distil_mini --upstream mel_transformer, for instance.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=ssl_union
upstreams=(tera)
tasks=(tera_mini_first tera_mini tera_mini_views tera_mini_voices tera_mini_last)
source "$recipe/../common.sh"

download() { fail "the pool has several sources; see $recipe/README.md, and name the folder with --data."; }

prepare() { "$python" "$recipe/prepare.py" "$data/manifest.csv" "$manifests"; }

# Each stage goes on from the one before.
settings_of() {
    case $1 in
        tera_mini) echo "init=$(run_folder tera_mini_first "$2" "$3")" ;;
        tera_mini_views) echo "init=$(run_folder tera_mini "$2" "$3")" ;;
        tera_mini_voices) echo "init=$(run_folder tera_mini_views "$2" "$3")" ;;
        tera_mini_last) echo "init=$(run_folder tera_mini_voices "$2" "$3")" ;;
        distil_mini_first) teacher objective_options.teacher ;;
        distil_mini)
            echo "init=$(run_folder distil_mini_first "$2" "$3")"
            teacher objective_options.terms.words.options.teacher
            ;;
    esac
}

# Whisper from AUDIOSSL_ENCODERS where it is there, else as the YAML says, from its repository. $1: the setting's name.
teacher() {
    local folder=${AUDIOSSL_ENCODERS:-}/whisper_tiny_en
    [[ ! -f $folder/config.json ]] || echo "$1=hf:$folder"
}

train_run() {
    # shellcheck disable=SC2046  # one word a setting
    audiossl pretrain "$recipe/$1.yaml" "seed=$3" "data.dir=$manifests" $(settings_of "$1" "$2" "$3") \
        "${overrides[@]}" --out "$4" --overwrite
}

# There is nothing to evaluate beyond the dev loss, which stage 2 logs, and so no test to average over seeds.
evaluate_all() { echo "See the dev loss in the report; the other recipes evaluate the encoder."; }

report_all() {
    folders=()
    for_each_run list_run
    audiossl report "${folders[@]}" --out "$out/report"
}

run_stages "$@"
