#!/usr/bin/env bash
# HuBERT's iterations: clusters of cepstra, a training on them, clusters of a layer of the result, a training on those.
# Started again, it goes on where it was stopped: what is finished is not done again, and a training resumes exactly.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
setting=hubert_mini manifests=data/pretrain out=runs/hubert_chain clusters="100 200" layer=2 share=1 overrides=()

usage() {
    cat <<EOF
Usage: $recipe/hubert_chain.sh [flag ...] [key=value ...]

  --setting NAME     a YAML of the recipe with objective hubert or wavlm (default: $setting)
  --manifests DIR    folder of train.jsonl.gz and dev.jsonl.gz (default: $manifests, from run.sh --stage 1 --stop-stage 1)
  --clusters "A B"   clusters of each iteration, one or more (default: "$clusters"; published: "100 500")
  --layer N          hidden state that later iterations cluster (default: $layer; published: 6 of 12)
  --share S          share of the recordings that clusters are fitted on (default: $share; published: 0.1)
  --out DIR          folder of units, labels and runs (default: $out)
  key=value          settings for every \`audiossl pretrain\`
EOF
}

while (($#)); do
    case $1 in
        -h | --help) usage && exit 0 ;;
        *=*) overrides+=("$1") && shift && continue ;;
        --setting | --manifests | --clusters | --layer | --share | --out)
            (($# > 1)) || { echo "error: $1 needs a value." >&2 && exit 2; } ;;
        *) echo "error: '$1' is neither a flag nor a key=value setting." >&2 && usage >&2 && exit 2 ;;
    esac
    declare "${1#--}=$2"
    shift 2
done
for split in train dev; do
    [[ -f $manifests/$split.jsonl.gz ]] || { echo "error: there is no $manifests/$split.jsonl.gz; see --manifests." >&2 && exit 1; }
done

python=${PYTHON:-python3}
audiossl() { "$python" -m audiossl "$@"; }

# What is written in one step is finished when it is there.
encoder=(mfcc -o cmvn=false) state=0 number=0
for size in $clusters; do
    number=$((number + 1))
    units=$out/units$number labels=$out/labels$number run=$out/run$number
    echo "== iteration $number: $size clusters of layer $state of ${encoder[0]}"
    [[ -f $units/units.json ]] || audiossl units fit "${encoder[@]}" --layer "$state" --clusters "$size" --share "$share" \
        "$manifests/train.jsonl.gz" --out "$units"
    for split in train dev; do
        [[ -f $labels/$split.units ]] || audiossl units apply "$units" "$manifests/$split.jsonl.gz" --out "$labels/$split.units"
    done
    if [[ -f $run/upstream.safetensors ]]; then
        echo "$run is finished."
    elif compgen -G "$run/checkpoints/*" >/dev/null; then
        audiossl pretrain --resume "$run"
    else
        audiossl pretrain "$recipe/$setting.yaml" "data.dir=$manifests" "objective_options.labels=[$labels]" \
            "${overrides[@]}" --out "$run" --overwrite
    fi
    encoder=("$run") state=$layer
done
echo "The encoder is $run."
