# Flags, stages and commands that the recipes share. A recipe's run.sh sets `recipe` (its folder), `corpus` (the name of
# its folder below AUDIOSSL_DATA), `upstreams` and `tasks` (its defaults), sources this file, defines what differs
# (`download`, `prepare`, `settings_of`: see below) and ends with `run_stages "$@"`.

stage=0 stop_stage=4 data="" steps="" out="" seeds="" download="" new_upstreams=() new_tasks=() overrides=()

usage() {
    cat <<EOF
Usage: ${recipe}/run.sh [flag ...] [key=value ...]

  --stage N        first stage (default 0): 0 download, 1 prepare, 2 train, 3 evaluate, 4 report
  --stop-stage N   last stage (default 4)
  --data DIR       folder of the recordings (default: \$AUDIOSSL_DATA/${corpus}, else what stage 0 downloads)
  --upstream NAME  encoder, NAME:random, NAME@time_expand, ...; may be repeated (default: ${upstreams[*]})
  --task NAME      a YAML of the recipe; may be repeated (default: ${tasks[*]})
  --seeds LIST     one run for each (default: "${seeds_default:-0}")
  --steps N        training steps (default: what the YAML says)
  --out DIR        folder of runs and report (default: runs/$(basename "$recipe"))
  --download       quickstart only: fetch the real recordings where there are none
  key=value        settings for \`audiossl train\`, for instance upstream_options.weights=random
EOF
}

fail() {
    echo "error: $1" >&2
    exit 1
}

wrong() {
    echo "error: $1" >&2
    usage >&2
    exit 2
}

parse_flags() {
    while (($#)); do
        case $1 in
            -h | --help) usage && exit 0 ;;
            --download) download=yes && shift && continue ;;
            --stage | --stop-stage | --data | --upstream | --task | --seeds | --steps | --out)
                (($# > 1)) || wrong "$1 needs a value." ;;
            --*) wrong "there is no flag $1." ;;
            *=*) overrides+=("$1") && shift && continue ;;
            *) wrong "'$1' is neither a flag nor a key=value setting." ;;
        esac
        case $1 in
            --stage) stage=$2 ;;
            --stop-stage) stop_stage=$2 ;;
            --data) data=$2 ;;
            --upstream) new_upstreams+=("$2") ;;
            --task) new_tasks+=("$2") ;;
            --seeds) seeds=$2 ;;
            --steps) steps=$2 ;;
            --out) out=$2 ;;
        esac
        shift 2
    done
    check_flags
}

check_flags() {
    local value
    for value in "$stage" "$stop_stage"; do
        [[ $value =~ ^[0-4]$ ]] || wrong "a stage is a number from 0 to 4, not '$value'."
    done
    [[ -z $steps || $steps =~ ^[1-9][0-9]*$ ]] || wrong "--steps is a number above 0, not '$steps'."
    ((${#new_upstreams[@]} == 0)) || upstreams=("${new_upstreams[@]}")
    ((${#new_tasks[@]} == 0)) || tasks=("${new_tasks[@]}")
    for value in "${tasks[@]}"; do
        [[ -f $recipe/$value.yaml ]] || wrong "the recipe has no task '$value'."
    done
    seeds=${seeds:-${seeds_default:-0}}
    out=${out:-runs/$(basename "$recipe")}
    manifests=data/$(basename "$recipe")
    [[ -z $steps ]] || overrides=("trainer.steps=$steps" "${overrides[@]}")
    find_python
    find_data
}

# The interpreter: $PYTHON, else the first with audiossl installed of `python3` and the one that `make` installed.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 "$recipe/../../.venv/bin/python"}; do
        if "$candidate" -m audiossl list >/dev/null 2>&1; then
            python=$candidate
            return
        fi
    done
    fail "audiossl is not installed for ${PYTHON:-python3}; name the Python that has it, as in PYTHON=.venv/bin/python."
}

# $data: what --data says (the corpus, or a folder of corpora), else AUDIOSSL_DATA's, else the downloaded one, else "".
find_data() {
    local folder
    [[ -z $data || -d $data ]] || wrong "--data $data is not a folder."
    for folder in ${data:+"$data/$corpus" "$data"} ${AUDIOSSL_DATA:+"$AUDIOSSL_DATA/$corpus"} "data/downloads/$corpus"; do
        if [[ -d $folder ]]; then
            data=$folder
            return
        fi
    done
    data=""
}

need_data() {
    [[ -n $data ]] && return
    fail "there are no recordings; run stage 0, name their folder with --data, or see $recipe/README.md."
}

# The stages. Their functions are not called in conditions or beside `||`, where no error would stop them.
run_stages() {
    parse_flags "$@"
    if stage 0 download; then get_data; fi
    if stage 1 prepare; then
        need_data
        prepare
    fi
    if stage 2 train; then train_all; fi
    if stage 3 evaluate; then evaluate_all; fi
    if stage 4 report; then report_all; fi
}

stage() {
    ((stage <= $1 && $1 <= stop_stage)) || return 1
    echo "== $(basename "$recipe"), stage $1: $2"
}

# The folder gets its name when it is complete: what a failed download left is not taken for the corpus.
get_data() {
    local part="data/downloads/$corpus.part"
    if [[ -n $data ]]; then
        echo "The recordings are in $data."
        return
    fi
    rm -rf "$part"
    download "$part"
    mv "$part" "data/downloads/$corpus"
    find_data
}

# Recipes define `download FOLDER`, which makes and fills FOLDER, or says with `fail` how the corpus is got.
download() { need_data; }

# Recipes define `prepare` where one call of their prepare.py is not enough.
prepare() { "$python" "$recipe/prepare.py" "$data" "$manifests"; }

# fetch_repository URL COMMIT FOLDER. git names content by its hash; of other commits, no file is fetched.
fetch_repository() {
    if ! { git clone --quiet --filter=blob:none --no-checkout "$1" "$3" && git -C "$3" checkout --quiet "$2"; }; then
        fail "$1 could not be fetched; clone it elsewhere, check out $2 and give its folder with --data."
    fi
}

# fetch_archive URL FOLDER [option of tar ...]: a .tar.gz, unpacked into FOLDER.
fetch_archive() {
    mkdir -p "$2"
    if ! curl --fail --silent --show-error --location --retry 2 "$1" |
        tar --extract --gzip --directory "$2" "${@:3}"; then
        fail "$1 could not be fetched; unpack it elsewhere and give the folder with --data."
    fi
}

# fetch_file URL FILE. Goes on where an earlier call was interrupted.
fetch_file() {
    mkdir -p "$(dirname "$2")"
    if ! curl --fail --silent --show-error --location --retry 2 --continue-at - --output "$2" "$1"; then
        fail "$1 could not be fetched; fetch and unpack it elsewhere and give the folder with --data."
    fi
}

audiossl() { "$python" -m audiossl "$@"; }

# run_folder TASK UPSTREAM SEED
run_folder() {
    local name=${2//[\/:]/_}
    [[ " ${overrides[*]} " != *" upstream_options.weights=random "* ]] || name+=-random
    echo "$out/$1/$name-seed$3"
}

# Calls `$1 TASK UPSTREAM SEED FOLDER` for every run of the recipe.
for_each_run() {
    local task upstream seed
    for task in "${tasks[@]}"; do
        for upstream in "${upstreams[@]}"; do
            for seed in $seeds; do
                "$1" "$task" "$upstream" "$seed" "$(run_folder "$task" "$upstream" "$seed")"
            done
        done
    done
}

# Recipes define `settings_of TASK UPSTREAM SEED` for what differs between runs beyond the encoder and the seed.
settings_of() { :; }

# NAME, NAME:random (random weights), and either behind a bandwidth front end at the recipe's rate: NAME@time_expand.
upstream_of() {
    local name=${1%:random}
    if [[ $name == *@* ]]; then
        echo "upstream=bandwidth upstream_options.encoder=${name%@*} upstream_options.mode=${name#*@}"
        echo "upstream_options.sample_rate_hz=${native_hz:-32000}"
    else
        echo "upstream=$name"
    fi
    [[ $1 != *:random ]] || echo "upstream_options.weights=random"
}

train_run() {
    # shellcheck disable=SC2046  # one word a setting
    audiossl train "$recipe/$1.yaml" $(upstream_of "$2") "seed=$3" $(settings_of "$1" "$2" "$3") "${overrides[@]}" \
        --out "$4" --overwrite
}

evaluate_run() { audiossl evaluate "$4" --split test; }

list_run() { folders+=("$4"); }

train_all() { for_each_run train_run; }

evaluate_all() { for_each_run evaluate_run; }

report_all() {
    folders=()
    for_each_run list_run
    audiossl report "${folders[@]}" --out "$out/report"
}
