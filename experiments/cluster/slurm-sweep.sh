#!/bin/bash
# A sweep whose trials are Slurm jobs. This job is the driver: one core, no GPU, as long as the whole sweep.
#SBATCH --job-name=mole-sweep
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append
cd "$SLURM_SUBMIT_DIR" || exit 2

python -m experiments.sweep --model=transfer --recipe=tuned --dataset=ham10000 --data_dir=/shared/data \
  --run_dir=/shared/runs/sweep-transfer --random=40 --seeds=3 \
  --grid="learning_rate=log(1e-4,1e-1) dropout=uniform(0,0.6) weight_decay=log(1e-3,1)" \
  --executor=slurm --slurm="--gres=gpu:1 --cpus-per-task=8 --mem=32G --time=4:00:00" --max_parallel=16 &
child=$!
trap 'kill -TERM $child' TERM
wait $child; status=$?
while kill -0 $child 2> /dev/null; do wait $child; status=$?; done
[ "$status" = 75 ] && scontrol requeue "$SLURM_JOB_ID"
exit $status
