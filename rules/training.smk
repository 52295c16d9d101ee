"""Train and evaluate every split.

Jobs of these rules may share a job of a cluster, as a group. Snakemake refuses a group whose jobs have
other texts in one resource: the resources of their scripts have names of their own.
"""


rule train:
    input:
        verdict=verdict_on("train"),
        data=ancient(f"<results>/{DATA}"),
        # What a recipe says decides, not when it was written.
        split=ancient("<results>/splits/{split}/split.json"),
        initial=initial_model if HAVE_BASES else [],
    output:
        model="<results>/splits/{split}/model.safetensors",
        history="<results>/splits/{split}/history.csv",
        validation="<results>/splits/{split}/validation.csv",
    log:
        "<results>/logs/train/{split}.log",
    benchmark:
        "<results>/benchmarks/train/{split}.jsonl"
    conda:
        "../envs/memtrain.yaml"
    threads: threads_of_training
    resources:
        script_train=script("train"),
        recording=recording_arguments,
        mem_mb=by_recipe(memory_of_training, before=1000),
        runtime=minutes_of_training,
        launcher=launcher(requested.seconds_of_training),
        running=settings_text(CONFIGURATION.running),
        loading=settings_text(CONFIGURATION.loading),
        tracking=tracking_arguments(),
    params:
        initial=initial_argument if HAVE_BASES else "",
        # Not an output, since nobody trains again to know how long it took.
        performance=str(RESULTS.split("{split}").performance),
        # Not an output, since Snakemake removes the outputs of a job that failed.
        state=str(RESULTS.state("{split}")),
    shell:
        # exec replaces the shell with the training. A signal to stop would otherwise end the shell
        # before the training has saved its state.
        "exec {resources.launcher} {resources.script_train:q} --data {input.data:q}"
        " --split {input.split:q} --model {output.model:q} --history {output.history:q}"
        " --validation {output.validation:q}"
        " --performance {params.performance:q} --state {params.state:q}"
        " --max-minutes {resources.runtime} --running {resources.running:q}"
        " --loading {resources.loading:q} {params.initial}"
        " {resources.tracking} {resources.recording} > {log:q} 2>&1"


# A training that starts from a model is judged when the model is there: the same bytes, trained
# again, make nothing anew.
checkpoint offer_base:
    input:
        model=made_by("train", "splits/{split}/model.safetensors"),
    output:
        "<results>/verdicts/offer_base/{split}",
    log:
        "<results>/logs/offer_base/{split}.log",
    localrule: True
    conda:
        "../envs/memtrain.yaml"
    shell:
        "touch {output:q} > {log:q} 2>&1"


rule evaluate:
    input:
        verdict=verdict_on("evaluate"),
        data=ancient(f"<results>/{DATA}"),
        split=ancient("<results>/splits/{split}/split.json"),
        model=made_by("train", "splits/{split}/model.safetensors"),
        history=made_by("train", "splits/{split}/history.csv"),
    output:
        evaluation="<results>/splits/{split}/evaluation.json",
        predictions="<results>/splits/{split}/predictions.npy",
    log:
        "<results>/logs/evaluate/{split}.log",
    benchmark:
        "<results>/benchmarks/evaluate/{split}.jsonl"
    conda:
        "../envs/memtrain.yaml"
    threads: threads_of_training
    resources:
        script_evaluate=script("evaluate"),
        launcher=launcher(requested.seconds_of_evaluation),
        recording=recording_arguments,
        mem_mb=by_recipe(requested.memory_of_evaluation, before=1000),
        runtime=by_recipe(requested.minutes_of_evaluation, before=10),
        loading=settings_text(CONFIGURATION.loading),
    shell:
        "exec {resources.launcher} {resources.script_evaluate:q} --data {input.data:q}"
        " --split {input.split:q} --model {input.model:q} --history {input.history:q}"
        " --evaluation {output.evaluation:q} --predictions {output.predictions:q}"
        " --loading {resources.loading:q}"
        " {resources.recording} > {log:q} 2>&1"


rule predict:
    input:
        verdict=verdict_on_prediction,
        model=predicting_model,
        data=predicted_files,
        manifest=ancient("<results>/manifest.json"),
    output:
        predictions="<results>/predictions/{prediction}/predictions.npy",
        made_from="<results>/predictions/{prediction}/made_from.json",
    log:
        "<results>/logs/predict/{prediction}.log",
    benchmark:
        "<results>/benchmarks/predict/{prediction}.jsonl"
    wildcard_constraints:
        prediction=any_of(CONFIGURATION.predictions),
    conda:
        "../envs/memtrain.yaml"
    threads: threads_of_predicting
    resources:
        script=script("predict"),
        launcher_predict=launcher_of_predicting,
        recording=recording_arguments,
        mem_mb=memory(1000),
        runtime=minutes(mb_per_second=MB_PREDICTED_PER_SECOND),
    params:
        folder=folder_of_predicting_split,
        rows=predicting_arguments,
    shell:
        "exec {resources.launcher_predict} {resources.script:q} --split {params.folder:q}"
        " {params.rows}"
        " --predictions {output.predictions:q} --made-from {output.made_from:q}"
        " {resources.recording} > {log:q} 2>&1"
