#!/bin/sh
# Prints the status of a job of Slurm for Snakemake: running, success or failed.
# usage: status.sh JOB_ID

# squeue knows a job for MinJobAge after its end, 300 seconds by default; Snakemake asks every ten.
state=$(squeue --noheader --states=all --format=%T --jobs="$1" 2>&1)

# A job that waits to be put back into the queue counts as running, and so does one whose state
# cannot be asked for, since the controller may be restarting.
case $state in
    COMPLETED) echo success ;;
    BOOT_FAIL | CANCELLED | DEADLINE | FAILED | NODE_FAIL | OUT_OF_MEMORY | TIMEOUT) echo failed ;;
    *"Invalid job id"*) echo failed ;;
    *) echo running ;;
esac
