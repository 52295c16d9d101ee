"""From the source of the rows to the recipes of the splits."""

if CONFIGURATION.dataset.mock:

    rule generate_data:
        input:
            code=code_of("generate_data"),
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
            recording=recording_arguments,
            mem_mb=memory(500),
            runtime=minutes_of_writing,
        params:
            settings=settings_text(CONFIGURATION.dataset.mock),
        shell:
            "python {input.code[0]:q} --settings {params.settings:q}"
            " --data {output.data:q} --source {output.source:q} --threads {threads}"
            " {resources.recording} > {log:q} 2>&1"

else:

    rule import_data:
        input:
            code=code_of("import_data"),
            data=imported_files(),
        output:
            data="<results>/data.npy",
            source="<results>/source.json",
        log:
            "<results>/logs/import_data.log",
        benchmark:
            "<results>/benchmarks/import_data.jsonl"
        conda:
            "../envs/memtrain.yaml"
        resources:
            recording=recording_arguments,
            mem_mb=memory(1000),
            runtime=minutes(mb_per_second=5),
        params:
            settings=settings_text(CONFIGURATION.dataset.import_),
        shell:
            "python {input.code[0]:q} --settings {params.settings:q}"
            " --data {output.data:q} --source {output.source:q}"
            " {resources.recording} > {log:q} 2>&1"


rule index_shards:
    input:
        code=code_of("index_shards"),
        data="<results>/data.npy",
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
        recording=recording_arguments,
        mem_mb=memory(500),
        runtime=minutes(mb_per_second=200),
    params:
        rows=CONFIGURATION.shards.rows,
        digest=CONFIGURATION.shards.digest,
    shell:
        "python {input.code[0]:q} --data {input.data:q} --manifest {output.manifest:q}"
        " --rows-per-shard {params.rows:q} --digest {params.digest:q}"
        " --threads {threads}"
        " {resources.recording} > {log:q} 2>&1"


checkpoint resolve_splits:
    input:
        code=code_of("resolve_splits") + own_modules_of_all(),
        data="<results>/data.npy",
        source="<results>/source.json",
        manifest="<results>/manifest.json",
        parts="<results>/manifest",
        withdrawals=withdrawals_if_any(),
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
        recording=recording_arguments,
        mem_mb=memory(1000),
        runtime=minutes(mb_per_second=100),
    params:
        config=str(RESULTS.configuration),
        settings=settings_digest("splits", "folds", "training", "evaluation"),
        folder=folder_of_splits,
        withdrawals=WITHDRAWALS_FILE,
    shell:
        "python {input.code[0]:q} --config {params.config:q} --data {input.data:q}"
        " --manifest {input.manifest:q} --source {input.source:q} --splits {params.folder:q}"
        " --withdrawals {params.withdrawals:q}"
        " {resources.recording} > {log:q} 2>&1"
