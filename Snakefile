"""Trains PyTorch models on ranges of the rows of memory-mapped files.

Wiring only: the configuration is read and checked, the rules are included. What a rule does stands
in the script of its name under scripts/, how it is run in profiles/.
"""

from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

min_version("9.27")


include: "rules/start.smk"


# With --configfile, config.yaml is not read: the two would be merged, and their splits mixed.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/launching.smk"
include: "rules/tracking.smk"
include: "rules/unfinished.smk"
include: "rules/lineage.smk"
include: "rules/verdicts.smk"
include: "rules/predicting.smk"


wildcard_constraints:
    split=any_of(CONFIGURATION.split_names),


# Snakemake refuses a path with a space, even where no container is asked for.
if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method:

    # envs/memtrain.def says how it is built.
    container: os.path.relpath(PROJECT / "envs/memtrain.sif")


include: "rules/data.smk"
include: "rules/training.smk"
include: "rules/reporting.smk"


rule all:
    default_target: True
    input:
        rules.index_shards.output,
        rules.resolve_splits.output,
        rules.summarize.output,
        f"{RESULTS_WITHOUT_PREFIX}/{DATA}",
        f"{RESULTS_WITHOUT_PREFIX}/source.json",
        collect(rules.train.output, split=CONFIGURATION.split_names),
        collect(rules.evaluate.output, split=EVALUATED),
        collect(rules.draw.output, split=EVALUATED),
        collect(rules.predict.output, prediction=CONFIGURATION.predictions),
