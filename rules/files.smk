"""Rows in many files: their description, and their index a group of files at a time."""


# The files are no inputs: a job would have to look at thousands of them. The verdict does.
# borders.npy, which lies beside rows.json where windows cross no borders of documents, is no output:
# whether there is one follows from the files, not from the settings alone. source.json has its
# digest, so that the verdict finds one that is missing or changed, and describes the files again.
checkpoint describe_files:
    input:
        verdict=verdict_on("describe_files"),
    output:
        data="<results>/rows.json",
        source="<results>/source.json",
    log:
        "<results>/logs/describe_files.log",
    benchmark:
        "<results>/benchmarks/describe_files.jsonl"
    conda:
        "../envs/memtrain.yaml"
    resources:
        check=script("check_components"),
        script=script("describe_files"),
        recording=recording_arguments,
        mem_mb=memory(500),
        runtime=minutes_of_describing,
    params:
        settings=settings_text(CONFIGURATION.dataset.files),
        config=str(RESULTS.configuration),
        known=str(RESULTS.known_digests),
    shell:
        # Mistakes in what the trainings name are told before files are read for hours.
        "python {resources.check:q} --config {params.config:q}"
        " {resources.recording} > {log:q} 2>&1 &&"
        " python {resources.script:q} --settings {params.settings:q}"
        " --data {output.data:q} --source {output.source:q} --known {params.known:q}"
        " {resources.recording} >> {log:q} 2>&1"


# The description is ancient: it changes with every file, and the verdict knows those of the group.
rule index_group:
    input:
        verdict=verdict_on_group,
        data=ancient("<results>/rows.json"),
    output:
        part="<results>/manifest/{group}.json",
        shards=directory("<results>/manifest/{group}"),
    log:
        "<results>/logs/index_group/{group}.log",
    benchmark:
        "<results>/benchmarks/index_group/{group}.jsonl"
    wildcard_constraints:
        group="[0-9a-f]{20}",
    conda:
        "../envs/memtrain.yaml"
    threads: 2
    resources:
        script=script("index_shards"),
        recording=recording_arguments,
        mem_mb=memory(500),
        runtime=minutes_of_group,
    params:
        rows=CONFIGURATION.shards.rows,
        digest=CONFIGURATION.shards.digest,
        manifest=str(RESULTS.manifest),
        known=str(RESULTS.known_digests),
    shell:
        "python {resources.script:q} --data {input.data:q} --manifest {params.manifest:q}"
        " --group {wildcards.group:q}"
        " --rows-per-shard {params.rows:q} --digest {params.digest:q}"
        " --threads {threads} --known {params.known:q}"
        " {resources.recording} > {log:q} 2>&1"


# The parts of the groups are no outputs, which Snakemake would remove before they are joined.
rule index_shards:
    input:
        verdict=verdict_on("index_shards"),
        data=made_by(MAKES_ROWS, DATA),
        source=made_by(MAKES_ROWS, "source.json"),
        groups=parts_of_groups,
    output:
        manifest="<results>/manifest.json",
    log:
        "<results>/logs/index_shards.log",
    benchmark:
        "<results>/benchmarks/index_shards.jsonl"
    conda:
        "../envs/memtrain.yaml"
    threads: 2
    resources:
        script=script("index_shards"),
        recording=recording_arguments,
        mem_mb=memory(500),
        runtime=minutes_of_describing,
    params:
        rows=CONFIGURATION.shards.rows,
        digest=CONFIGURATION.shards.digest,
        known=str(RESULTS.known_digests),
    shell:
        "python {resources.script:q} --data {input.data:q} --manifest {output.manifest:q}"
        " --rows-per-shard {params.rows:q} --digest {params.digest:q}"
        " --threads {threads} --known {params.known:q}"
        " {resources.recording} > {log:q} 2>&1"
