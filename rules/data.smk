"""From the source of the rows to the recipes of the splits."""

if CONFIGURATION.dataset.mock:

    rule generate_data:
        input:
            verdict=verdict_on("generate_data"),
        output:
            data="<results>/data.npy",
            source="<results>/source.json",
        log:
            "<results>/logs/generate_data.log",
        benchmark:
            "<results>/benchmarks/generate_data.jsonl"
        conda:
            "../envs/memtrain.yaml"
        threads: 2
        resources:
            script=script("generate_data"),
            recording=recording_arguments,
            mem_mb=memory(500),
            runtime=minutes_of_writing,
        params:
            settings=settings_text(CONFIGURATION.dataset.mock),
        shell:
            "python {resources.script:q} --settings {params.settings:q}"
            " --data {output.data:q} --source {output.source:q} --threads {threads}"
            " {resources.recording} > {log:q} 2>&1"

elif CONFIGURATION.dataset.files:

    include: "files.smk"

else:

    rule import_data:
        input:
            verdict=verdict_on("import_data"),
            data=imported_files(),
        output:
            data="<results>/data.npy",
            source="<results>/source.json",
            groups=[f"<results>/{file}" for file in GROUPS],
        log:
            "<results>/logs/import_data.log",
        benchmark:
            "<results>/benchmarks/import_data.jsonl"
        conda:
            "../envs/memtrain.yaml"
        resources:
            check=script("check_components"),
            script=script("import_data"),
            recording=recording_arguments,
            mem_mb=memory(1000),
            runtime=minutes(mb_per_second=5),
        params:
            settings=settings_text(CONFIGURATION.dataset.import_),
            config=str(RESULTS.configuration),
        shell:
            # Mistakes in what the trainings name are told before an import that may take hours.
            "python {resources.check:q} --config {params.config:q}"
            " {resources.recording} > {log:q} 2>&1 &&"
            " python {resources.script:q} --settings {params.settings:q}"
            " --data {output.data:q} --source {output.source:q}"
            " {resources.recording} >> {log:q} 2>&1"


if not CONFIGURATION.dataset.files:

    rule index_shards:
        input:
            verdict=verdict_on("index_shards"),
            data=made_by(MAKES_ROWS, DATA),
            source=made_by(MAKES_ROWS, "source.json"),
        output:
            manifest="<results>/manifest.json",
            parts=directory("<results>/manifest"),
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
            runtime=minutes(mb_per_second=200),
        params:
            rows=CONFIGURATION.shards.rows,
            digest=CONFIGURATION.shards.digest,
            known=str(RESULTS.known_digests),
        shell:
            "python {resources.script:q} --data {input.data:q} --manifest {output.manifest:q}"
            " --rows-per-shard {params.rows:q} --digest {params.digest:q}"
            " --threads {threads} --known {params.known:q}"
            " {resources.recording} > {log:q} 2>&1"


checkpoint resolve_splits:
    input:
        verdict=verdict_on("resolve_splits"),
        data=made_by(MAKES_ROWS, DATA),
        source=made_by(MAKES_ROWS, "source.json"),
        manifest=made_by("index_shards", "manifest.json"),
        parts=made_by("index_shards", *PARTS_OF_MANIFEST),
        groups=made_by(MAKES_ROWS, *GROUPS),
    output:
        splits=collect(
            "<results>/splits/{split}/split.json", split=CONFIGURATION.split_names
        ),
    log:
        "<results>/logs/resolve_splits.log",
    benchmark:
        "<results>/benchmarks/resolve_splits.jsonl"
    conda:
        "../envs/memtrain.yaml"
    resources:
        script=script("resolve_splits"),
        recording=recording_arguments,
        mem_mb=memory(1000),
        runtime=minutes(mb_per_second=100),
    params:
        config=str(RESULTS.configuration),
        folder=folder_of_splits,
        withdrawals=WITHDRAWALS_FILE,
    shell:
        "python {resources.script:q} --config {params.config:q} --data {input.data:q}"
        " --manifest {input.manifest:q} --source {input.source:q} --splits {params.folder:q}"
        " --withdrawals {params.withdrawals:q}"
        " {resources.recording} > {log:q} 2>&1"
