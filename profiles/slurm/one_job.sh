#!/bin/sh
# The whole workflow as one job of Slurm, on one node, for hundreds of short trainings:
#   sbatch --cpus-per-task=32 --mem=32G --time=60 profiles/slurm/one_job.sh
# Options of the site, such as --partition, come before the script; those of Snakemake after it.
# A job that fails or runs out of time goes on when it is submitted again.
#SBATCH --job-name=memtrain
#SBATCH --nodes=1
#SBATCH --ntasks=1

# A job that is preempted, or whose node fails, goes back into the queue under the same id.
#SBATCH --requeue
#SBATCH --open-mode=append

# Two minutes before the time is up, Snakemake starts no more jobs, and ends after those that run.
#SBATCH --signal=B:TERM@120

# This job was killed before. The lock is its own: it keeps every other Snakemake away.
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then
    snakemake --unlock "$@" || exit
fi

# exec lets Snakemake take the place of the shell, and so get the signal.
exec snakemake --cores "${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}" \
    ${SLURM_MEM_PER_NODE:+--resources "mem_mb=$SLURM_MEM_PER_NODE"} "$@"
