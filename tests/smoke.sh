#!/bin/sh
# The README's commands in their smallest form, one after the other, as a new user would type them.
set -eux
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$BIN/python" -m experiments.prepare --dataset=synthetic --examples=100 --data_dir="$work/data"
"$BIN/python" -m experiments.run --model=logistic --epochs=2 --data_dir="$work/data" --run_dir="$work/a"
"$BIN/python" -m experiments.run --model=cnn --batch_size=8 --epochs=1 --bn_momentum=0.9 --data_dir="$work/data" --run_dir="$work/b"
"$BIN/python" -m experiments.run --model=logistic --epochs=1 --preprocess=kmeans_blur --data_dir="$work/data" --run_dir="$work/blurred"
"$BIN/python" -m experiments.sweep --model=logistic --grid="learning_rate=1e-4,1e-3" --epochs=1 --data_dir="$work/data" --run_dir="$work/sweep"
"$BIN/python" -m experiments.run --model=transfer --recipe=tuned --epochs=1 --finetune_epochs=1 --warmup_epochs=0 --examples=20 --seeds=2 \
  --weights=random --batch_size=8 --views=1 --data_dir="$work/data" --run_dir="$work/tuned"
mkdir "$work/photos"
"$BIN/python" -c "
import sys
from PIL import Image
import mole_jax
from pathlib import Path
source = mole_jax.load_dataset(Path(sys.argv[1]), 'synthetic').splits['test']
for i in range(3): Image.fromarray(source[i]['image']).save(f'{sys.argv[2]}/{i}.png')
" "$work/data" "$work/photos"
"$BIN/python" -m experiments.predict --run="$work/a" --images="$work/photos" --out="$work/scores.csv"
"$BIN/python" -m experiments.explain --run="$work/a" --images=4
"$BIN/python" -m experiments.predict --run="$work/a" --images="$work/photos/0.png" --explain="$work/sheets"
"$BIN/python" -m experiments.predict --run="$work/a,$work/b" --images="$work/photos/0.png"
"$BIN/python" -m experiments.predict --run="$work/tuned" --images="$work/photos"
"$BIN/python" -m experiments.evaluate --predictions="$work/a/predictions/test.csv" --validation="$work/a/predictions/validation.csv" --out="$work/evaluation"
"$BIN/python" -m experiments.prepare --dataset=other --layout=synthetic --seed=1 --examples=40 --protocol=external --data_dir="$work/data"
"$BIN/python" -m experiments.evaluate --run="$work/a" --dataset=other --data_dir="$work/data"
"$BIN/python" -m experiments.audit --dataset=synthetic --data_dir="$work/data" --out="$work/audit"
"$BIN/python" -m experiments.compare --predictions="$work/a/predictions/test.csv,$work/b/predictions/test.csv" \
  --validation="$work/a/predictions/validation.csv,$work/b/predictions/validation.csv" --out="$work/comparison"
"$BIN/python" -m experiments.probe --run="$work/a" --images=5
"$BIN/python" -m experiments.report --runs="$work/a,$work/b" --out="$work/report.html" --data_dir="$work/data"
"$BIN/python" -m experiments.reproduce --scale=smoke --models=logistic --protocols=paper,grouped --data_dir="$work/reproduction" --runs_dir="$work/runs"
