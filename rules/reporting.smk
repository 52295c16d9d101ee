"""Draw the results of every split, and bring those of all splits together."""


report: "../report/workflow.rst"


rule draw:
    input:
        verdict=verdict_on("draw"),
        split=ancient("<results>/splits/{split}/split.json"),
        evaluation=made_by("evaluate", "splits/{split}/evaluation.json"),
        predictions=made_by("evaluate", "splits/{split}/predictions.npy"),
        history=made_by("train", "splits/{split}/history.csv"),
        validation=made_by("train", "splits/{split}/validation.csv"),
    output:
        predictions=report(
            "<results>/splits/{split}/figures/predictions.png",
            caption="../report/predictions.rst",
            category="Splits",
            subcategory="{split}",
            labels={"figure": "predictions", "split": "{split}"},
        ),
        errors=report(
            "<results>/splits/{split}/figures/errors.png",
            caption="../report/errors.rst",
            category="Splits",
            subcategory="{split}",
            labels={"figure": "errors", "split": "{split}"},
        ),
        learning=report(
            "<results>/splits/{split}/figures/learning_curve.png",
            caption="../report/learning_curve.rst",
            category="Splits",
            subcategory="{split}",
            labels={"figure": "learning curve", "split": "{split}"},
        ),
        made_from="<results>/splits/{split}/figures/made_from.json",
    log:
        "<results>/logs/draw/{split}.log",
    benchmark:
        "<results>/benchmarks/draw/{split}.jsonl"
    conda:
        "../envs/memtrain.yaml"
    resources:
        script_draw=script("draw"),
        launcher_draw=launcher(requested.seconds_of_drawing, is_cpu_only=True),
        recording=recording_arguments,
        mem_mb=by_recipe(requested.memory_of_drawing, before=1000),
        runtime=by_recipe(requested.minutes_of_drawing, before=10),
    params:
        figures=str(RESULTS.split("{split}").figures.parent),
    shell:
        "exec {resources.launcher_draw} {resources.script_draw:q} --split {input.split:q}"
        " --evaluation {input.evaluation:q}"
        " --predictions {input.predictions:q} --history {input.history:q}"
        " --validation {input.validation:q}"
        " --figures {params.figures:q} --made-from {output.made_from:q}"
        " {resources.recording} > {log:q} 2>&1"


rule summarize:
    input:
        verdict=verdict_on("summarize"),
        splits=recipes_of_all,
        evaluations=made_by_splits(
            "evaluate", "splits/{split}/evaluation.json", EVALUATED
        ),
        # The lineage page shows the runs of draw, so it is drawn after them.
        figures=made_by_splits(
            "draw", "splits/{split}/figures/made_from.json", EVALUATED
        ),
        histories=made_by_splits("train", "splits/{split}/history.csv", NOT_EVALUATED),
        manifest=ancient("<results>/manifest.json"),
    output:
        table=report(
            "<results>/summary/summary.csv",
            caption="../report/summary.rst",
            category="Summary",
            labels={"figure": "all splits, for programs"},
        ),
        text="<results>/summary/summary.md",
        html=report(
            "<results>/summary/summary.html",
            caption="../report/table.rst",
            category="Summary",
            labels={"figure": "all splits, as a table"},
        ),
        comparison=report(
            "<results>/summary/comparison.png",
            caption="../report/comparison.rst",
            category="Summary",
            labels={"figure": "all splits, compared"},
        ),
        page=report(
            "<results>/summary/lineage.html",
            caption="../report/lineage.rst",
            category="Lineage",
            labels={"figure": "from the source to this summary"},
        ),
        made_from="<results>/summary/made_from.json",
    log:
        "<results>/logs/summarize.log",
    benchmark:
        "<results>/benchmarks/summarize.jsonl"
    conda:
        "../envs/memtrain.yaml"
    resources:
        script=script("summarize"),
        recording=recording_arguments,
        mem_mb=memory(500),
        runtime=minutes(mb_per_second=1),
    params:
        config=str(RESULTS.configuration),
        folder=folder_of_splits,
        withdrawals=WITHDRAWALS_FILE,
        benchmarks=str(RESULTS.benchmarks),
    shell:
        "python {resources.script:q} --config {params.config:q} --splits {params.folder:q}"
        " --benchmarks {params.benchmarks:q}"
        " --csv {output.table:q} --table {output.text:q} --html {output.html:q}"
        " --figure {output.comparison:q}"
        " --page {output.page:q} --made-from {output.made_from:q} --manifest {input.manifest:q} --withdrawals {params.withdrawals:q}"
        " {resources.recording} > {log:q} 2>&1"
