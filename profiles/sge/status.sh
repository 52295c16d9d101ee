#!/bin/sh
# Says of a job of Grid Engine: running, success or failed. For Snakemake, which asks again and again.
# usage: status.sh JOB_ID

if qstat -j "$1" > /dev/null 2>&1; then
    echo running
    exit
fi

# A job that has just ended may not be in the accounts yet: what is not there is asked for again.
account=$(qacct -j "$1" 2> /dev/null) || { echo running; exit; }

# exit_status is that of the job, failed is not 0 where Grid Engine could not start it or ended it.
echo "$account" | awk '
    $1 == "failed" && $2 != 0 || $1 == "exit_status" && $2 != 0 { bad = 1 }
    END { print bad ? "failed" : "success" }'
