#!/usr/bin/env bash
# From raw text to a trained, evaluated, reloaded Korean-English model, on two CPU cores.
# Every line of output that begins with $ can be run by hand.
set -euo pipefail

usage() {
    cat <<'END'
bash tools/quickstart.sh [--korean FILE --english FILE] [--output DIRECTORY]

Without files it trains on a synthetic sample corpus. FILE is JSON Lines, Parquet, Arrow or text, packed or not
(docs/corpus.md); large files are sampled. DIRECTORY (default: runs/quickstart) gets everything that is made.
END
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HERE=$PWD
cd "$ROOT"
source tools/environment.sh

absolute() { if [[ $1 == /* ]]; then printf '%s\n' "$1"; else printf '%s\n' "$HERE/$1"; fi; }

OUTPUT=runs/quickstart KOREAN="" ENGLISH=""
while (($#)); do
    case $1 in
        -h | --help) usage && exit ;;
        --korean | --english | --output) [[ ${2:-} ]] || die "$1 needs a path." ;;
        *) usage >&2 && die "$1 is not an option of tools/quickstart.sh." ;;
    esac
    case $1 in
        --korean) KOREAN=$(absolute "$2") ;;
        --english) ENGLISH=$(absolute "$2") ;;
        --output) OUTPUT=$(absolute "$2") ;;
    esac
    shift 2
done
[[ -z $KOREAN && -z $ENGLISH ]] || [[ $KOREAN && $ENGLISH ]] || die "--korean and --english go together: give both files."
for FILE in $KOREAN $ENGLISH; do [[ -r $FILE ]] || die "$FILE cannot be read."; done

step() { printf '\n== %s\n' "$*"; }

use_environment "$ROOT" fast

DATA=$OUTPUT/data
SETTINGS=()
if [[ $OUTPUT != runs/quickstart ]]; then
    SETTINGS+=("run.dir=$OUTPUT" "data.tokenizer=$DATA/tokenizer"
        "data.sources.korean.path=$DATA/ko" "data.sources.english.path=$DATA/en")
fi

python -m megakor.quickstart clear "$OUTPUT"
if [[ $KOREAN ]]; then
    step "1/7 text: a sample of your files"
    run python -m megakor.quickstart sample "$OUTPUT" --korean "$KOREAN" --english "$ENGLISH"
    # Real text is harder than the sample corpus: it gets more training.
    SETTINGS+=(train.tokens=1M)
else
    step "1/7 text: a synthetic sample corpus"
    run python tools/make_sample_corpus.py --output "$DATA/text" --megabytes 3
fi

step "2/7 tokenizer: byte-level BPE on both languages"
run python tools/train_tokenizer.py --input "ko=$DATA/text/ko.jsonl" "en=$DATA/text/en.jsonl" --vocab-size 4096 \
    --output "$DATA/tokenizer"

step "3/7 shards: training and held-out documents, which share no sentence"
for LANGUAGE in ko en; do
    run python tools/preprocess_data.py --input "$DATA/text/$LANGUAGE.jsonl" --output-prefix "$DATA/$LANGUAGE" \
        --tokenizer-type HuggingFaceTokenizer --tokenizer-model "$DATA/tokenizer" --append-eod --workers 2 \
        --language "$LANGUAGE" --holdout-share 0.025 --holdout-exclusive-sentences
done

step "4/7 pretraining: two ranks, tensor and sequence parallel"
run megakor pretrain configs/quickstart.yaml ${SETTINGS[@]+"${SETTINGS[@]}"}

step "5/7 the same command again: loads the last checkpoint and finds nothing left to do"
run megakor pretrain configs/quickstart.yaml ${SETTINGS[@]+"${SETTINGS[@]}"}

step "6/7 generation: the checkpoint on one process, continuing held-out sentences"
PROMPTS=()
while IFS= read -r PROMPT; do PROMPTS+=("--prompt=$PROMPT"); done < <(python -m megakor.quickstart prompts "$OUTPUT")
run megakor generate "$OUTPUT" "${PROMPTS[@]}" --tokens 32 --temperature 0.3

step "7/7 result"
python -m megakor.quickstart table "$OUTPUT"
printf '\n%d s in all\nquickstart: ok\n' "$SECONDS"
