#!/usr/bin/env bash
# Two questions of papers, asked of small encoders on one pool: which alterations of TERA help, and whether units or frames
# are the better input of BERT. Started again, it goes on: what is finished is not done again.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
manifests=data/pretrain asterisk=data/asterisk out=runs/compare steps=400 batch_s=24 tuning=500 seeds="0" jobs=1
overrides=() question=""

usage() {
    cat <<EOF
Usage: $recipe/compare.sh tera|bert [flag ...] [key=value ...]

  tera               alterations of time (T), frequency (F) and magnitude (M), parts of the pool, 6 blocks in place of 3;
                     then asterisk by CTC on encoders of 3 and 6 blocks and on parts of the pool, frozen and fine-tuned
  bert               BERT on units and on log mel frames, then fine-tuned by CTC with 10 % and all of asterisk's labels
  --manifests DIR    the pool's train.jsonl.gz and dev.jsonl.gz (default: $manifests, from run.sh --stage 1 --stop-stage 1)
  --asterisk DIR     asterisk's manifests (default: $asterisk, from recipes/asterisk/run.sh --stage 1 --stop-stage 1)
  --steps N          of every pre-training (default: $steps)
  --batch-s N        seconds of sound in a batch of a pre-training (default: $batch_s)
  --tuning N         steps of every fine-tuning (default: $tuning)
  --seeds LIST       tera: of every fine-tuning (default: "$seeds")
  --jobs N           trainings side by side (default: $jobs); what each prints is then in a file beside its run
  --out DIR          folder of the runs (default: $out)
  key=value          settings for every \`audiossl pretrain\`
EOF
}

while (($#)); do
    case $1 in
        -h | --help) usage && exit 0 ;;
        tera | bert) question=$1 && shift && continue ;;
        *=*) overrides+=("$1") && shift && continue ;;
        --manifests | --asterisk | --steps | --batch-s | --tuning | --seeds | --jobs | --out)
            (($# > 1)) || { echo "error: $1 needs a value." >&2 && exit 2; } ;;
        *) echo "error: '$1' is no question, no flag and no key=value setting." >&2 && usage >&2 && exit 2 ;;
    esac
    name=${1#--}
    declare "${name//-/_}=$2"
    shift 2
done
[[ -n $question ]] || { echo "error: name a question, tera or bert." >&2 && usage >&2 && exit 2; }
for folder in "$manifests" "$asterisk"; do
    [[ -f $folder/train.jsonl.gz ]] || { echo "error: there is no $folder/train.jsonl.gz; see --help." >&2 && exit 1; }
done

python=${PYTHON:-python3}
audiossl() { "$python" -m audiossl "$@"; }

# beside COMMAND NAME [word ...]: at once with the others, as many as --jobs says. settled: all of them have ended well.
beside() {
    ((jobs > 1)) || { "$@" && return; }
    while (($(jobs -rp | wc -l) >= jobs)); do wait -n || stop_all; done
    mkdir -p "$out/$question/logs"
    "$@" >"$out/$question/logs/$2.txt" 2>&1 &
}

settled() { while (($(jobs -p | wc -l))); do wait -n || stop_all; done; }

stop_all() {
    echo "error: a training failed; the files in $out/$question/logs say why." >&2
    # shellcheck disable=SC2046  # one word a process
    kill $(jobs -p) 2>/dev/null
    exit 1
}

# pretrained NAME YAML [key=value ...]
pretrained() {
    local run=$out/$question/$1 setting=$2
    shift 2
    if [[ -f $run/upstream.safetensors ]]; then
        echo "$run is finished."
    elif compgen -G "$run/checkpoints/*" >/dev/null; then
        audiossl pretrain --resume "$run"
    else
        audiossl pretrain "$recipe/$setting.yaml" "data.dir=$manifests" "trainer.steps=$steps" trainer.eval_every=100 \
            trainer.warmup_steps=50 "data.max_duration_s=$batch_s" "$@" "${overrides[@]}" --out "$run" --overwrite
    fi
}

# recognised NAME UPSTREAM YAML SUBSET [key=value ...]: trained, and evaluated on test.
recognised() {
    local run=$out/$question/asr/$1
    [[ ! -d $run/test ]] || { echo "$run is finished." && return; }
    audiossl train "$recipe/../asterisk/$3.yaml" "upstream=$2" "data.dir=$asterisk" "data.subset='$4'" \
        "trainer.steps=$tuning" task.unknown_symbols=count "${@:5}" --out "$run" --overwrite  # a tenth lacks some letters
    audiossl evaluate "$run"
}

if [[ $question == tera ]]; then
    beside pretrained 6-blocks tera_mini_first upstream_options.num_layers=6
    beside pretrained T+F+M tera_mini_first
    beside pretrained 25% tera_mini_first data.subset=25%
    beside pretrained 50% tera_mini_first data.subset=50%
    beside pretrained T tera_mini_first objective_options.frequency=0 objective_options.magnitude=0
    beside pretrained F tera_mini_first objective_options.time=0 objective_options.magnitude=0
    beside pretrained M tera_mini_first objective_options.time=0 objective_options.frequency=0 objective_options.magnitude=1
    beside pretrained T+F tera_mini_first objective_options.magnitude=0
    settled
    for seed in $seeds; do
        for encoder in T+F+M 6-blocks 25% 50% T+F+M:random 6-blocks:random; do
            run=$out/tera/${encoder%:random} weights=()
            [[ $encoder != *:random ]] || weights=(upstream_options.weights=random)
            beside recognised "$encoder-frozen-seed$seed" "$run" asr 100% "seed=$seed" "${weights[@]}"
            beside recognised "$encoder-tuned-seed$seed" "$run" finetuning_letters 100% "seed=$seed" "${weights[@]}"
        done
    done
    settled
else
    units=$out/bert/units
    [[ -f $units/units.json ]] || audiossl units fit mfcc --clusters 200 "$manifests/train.jsonl.gz" --out "$units"
    beside pretrained units-encoder bert_units_mini "upstream_options.units=$units"
    beside pretrained frames-encoder bert_frames_mini
    settled
    ctc=(task.head.kind=linear upstream_options.dropout=0.1)
    for part in 100% 10%; do
        for input in units frames; do
            beside recognised "$input-ctc-$part" "$out/bert/$input-encoder" finetuning_letters "$part" "${ctc[@]}"
        done
        beside recognised "random-ctc-$part" "$out/bert/frames-encoder" finetuning_letters "$part" "${ctc[@]}" upstream_options.weights=random
    done
    for input in units frames; do
        beside recognised "$input-frozen-100%" "$out/bert/$input-encoder" asr 100%
    done
    settled
fi
