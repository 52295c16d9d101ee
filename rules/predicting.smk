"""Predict other rows by the models of the splits, as the section `predictions` asks for."""


def predicting_split(wildcards):
    """Return the split whose model makes predictions."""
    return CONFIGURATION.predictions[wildcards.prediction].split


def verdict_on_prediction(wildcards):
    """Return the verdict on predictions, which are judged when the recipes are there."""
    await_made("predict", predicting_split(wildcards))
    path = RESULTS.verdict("predict", wildcards.prediction)
    if judges():
        path = say_or_stop(lambda: verdicts().write("predict", wildcards.prediction))
    return [path_without_prefix(str(path))] if path.exists() else []


def predicting_model(wildcards):
    """Return the recipe and the model that make predictions."""
    split = predicting_split(wildcards)
    await_recipes("predict")
    recipe = ancient(f"{RESULTS_WITHOUT_PREFIX}/splits/{split}/split.json")
    return [recipe, *made_files("train", ["splits/{split}/model.safetensors"], [split])]


def predicted_files(wildcards):
    """Return the files whose rows are predicted: those of the dataset, or the user's own."""
    files = CONFIGURATION.predictions[wildcards.prediction].files
    data = ancient(f"{RESULTS_WITHOUT_PREFIX}/{DATA}")
    return [data] if files is None else own_files(files)


def predicting_arguments(wildcards):
    """Return the arguments of predict.py that name the rows, quoted for the shell."""
    settings = CONFIGURATION.predictions[wildcards.prediction]
    if settings.files is not None:
        words = ["--data", settings.files]
        if settings.csv is not None:
            words += ["--csv", settings_text(settings.csv)]
        return shlex.join(words)
    words = ["--data", str(RESULTS.root / DATA), "--manifest", str(RESULTS.manifest)]
    words += ["--withdrawals", path_without_prefix(WITHDRAWALS_FILE)]
    words += ["--dataset", CONFIGURATION.dataset.name]
    for start, end in settings.rows:
        words += ["--rows", f"{start}:{end}"]
    return shlex.join(words)


def folder_of_predicting_split(wildcards):
    """Return the folder of the split whose model makes predictions."""
    return str(RESULTS.split(predicting_split(wildcards)).folder)


def threads_of_predicting(wildcards):
    """Return the threads that the settings of the split name."""
    return CONFIGURATION.training_settings(predicting_split(wildcards)).threads


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
    conda:
        "../envs/memtrain.yaml"
    threads: threads_of_predicting
    resources:
        script=script("predict"),
        recording=recording_arguments,
        mem_mb=memory(1000),
        runtime=minutes(mb_per_second=1),
    params:
        folder=folder_of_predicting_split,
        rows=predicting_arguments,
    shell:
        "python {resources.script:q} --split {params.folder:q} {params.rows}"
        " --predictions {output.predictions:q} --made-from {output.made_from:q}"
        " {resources.recording} > {log:q} 2>&1"
