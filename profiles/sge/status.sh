#!/bin/sh
# Prints the status of a Grid Engine job for Snakemake: running, success or failed.
# usage: status.sh JOB_ID

if qstat -j "$1" > /dev/null 2>&1; then
    echo running
    exit
fi

# A job that has just ended may not be in the accounts yet. It counts as running, so that Snakemake
# asks again.
account=$(qacct -j "$1" 2> /dev/null) || { echo running; exit; }

# exit_status is that of the job; failed is not 0 if Grid Engine could not start the job or ended it.
echo "$account" | awk '
    $1 == "failed" && $2 != 0 || $1 == "exit_status" && $2 != 0 { bad = 1 }
    END { print bad ? "failed" : "success" }'
