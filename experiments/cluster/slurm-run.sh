#!/bin/bash
# One run on two nodes of eight GPUs: one process a node. JAX learns from Slurm who the others are.
#SBATCH --job-name=mole-run
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:8
#SBATCH --cpus-per-task=32
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append
cd "$SLURM_SUBMIT_DIR" || exit 2

# JAX counts a Slurm task for each GPU unless it is told which devices are a process' own.
export JAX_LOCAL_DEVICE_IDS=0,1,2,3,4,5,6,7
srun --kill-on-bad-exit=0 python -m experiments.run --model=cnn --recipe=tuned --dataset=ham10000 \
  --data_dir=/shared/data --run_dir=/shared/runs/cnn-16 --batch_size=1024 --coordinator=auto
status=$?
[ "$status" = 75 ] && scontrol requeue "$SLURM_JOB_ID"
exit $status
