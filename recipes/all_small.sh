#!/usr/bin/env bash
# Every recipe on small real recordings, for some encoders, and one table of all results.
#
#   recipes/all_small.sh                                          # in $AUDIOSSL_DATA; about an hour on two cores
#   recipes/all_small.sh --upstream tera_mini --upstream tera_mini:random --only esc10/sounds --only nemo/emotion
# A recipe takes part by naming its tasks in its run.sh: small_tasks=(...).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
recipe=$here/quickstart  # any: the environment is found from it
source "$here/common.sh"
find_python
upstreams=(log_mel fbank tera_mini tera_mini:random wav2vec2:random)
# Encoders that one has as folders of transformers, such as a whisper_tiny_en: all in $AUDIOSSL_ENCODERS.
for folder in "${AUDIOSSL_ENCODERS:-}"/*/config.json; do
    [[ -z ${AUDIOSSL_ENCODERS:-} || ! -f $folder ]] || upstreams+=("hf:$(dirname "$(realpath "$folder")")")
done
# A small wav2vec 2.0: the published sizes take hours here.
small=(conv_widths=[128,128,128,128,128,128,128] width=256 num_layers=4 num_heads=4 ffn_width=1024)
chosen=() only=() data=${AUDIOSSL_DATA:-} out=runs/all_small steps=()

usage() {
    cat <<TEXT
Usage: recipes/all_small.sh [flag ...]

  --upstream NAME   encoder, NAME:random, ... as of a recipe; may be repeated (default: ${upstreams[*]})
  --only RECIPE/TASK  one task; may be repeated (default: all)
  --data DIR        folder of the corpora (default: \$AUDIOSSL_DATA)
  --out DIR         folder of runs and of table.md (default: runs/all_small)
  --steps N         training steps of every task (default: what its YAML says)
TEXT
}

while (($#)); do
    case $1 in
        -h | --help) usage && exit 0 ;;
        --upstream) chosen+=("${2:?--upstream needs a name}") ;;
        --only) only+=("${2:?--only needs RECIPE/TASK}") ;;
        --data) data=${2:?--data needs a folder} ;;
        --out) out=${2:?--out needs a folder} ;;
        --steps) steps=(--steps "${2:?--steps needs a number}") ;;
        *) echo "error: there is no flag $1." >&2 && usage >&2 && exit 2 ;;
    esac
    shift 2
done
((${#chosen[@]} == 0)) || upstreams=("${chosen[@]}")
[[ -d $data ]] || { echo "error: name the folder of the corpora with --data or AUDIOSSL_DATA." >&2 && exit 2; }
export AUDIOSSL_DATA=$data

known=()
for script in "$here"/*/run.sh; do
    for task in $(sed -n 's/^small_tasks=(\(.*\)).*/\1/p' "$script"); do known+=("$(basename "${script%/run.sh}")/$task"); done
done
((${#only[@]} > 0)) || only=("${known[@]}")
for task in "${only[@]}"; do
    [[ -f $here/$task.yaml ]] || { echo "error: there is no task $task; there are: ${known[*]}." >&2 && exit 2; }
done

mkdir -p "$out"
for task in "${only[@]}"; do
    recipe=${task%/*} name=${task#*/}
    "$here/$recipe/run.sh" --stage 0 --stop-stage 1 --task "$name"
    for upstream in "${upstreams[@]}"; do
        settings=()
        [[ $upstream != wav2vec2:random ]] || settings=("${small[@]/#/upstream_options.}")
        begin=$SECONDS
        "$here/$recipe/run.sh" --stage 2 --stop-stage 3 --task "$name" --upstream "$upstream" --out "$out/$recipe" \
            "${steps[@]}" "${settings[@]}"
        printf '%s\t%s\t%d\n' "$task" "$upstream" $((SECONDS - begin)) >>"$out/seconds.tsv"
    done
done
"$python" "$here/one_table.py" "$out" | tee "$out/table.md"
