"""What predictions are made from, as the section `predictions` of the configuration asks."""


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
    if isinstance(files, str):
        return own_files(files)
    # Files that are read where they lie are no inputs: the verdict looks at thousands of them.
    return [data] if files is None else []


def predicting_arguments(wildcards):
    """Return the arguments of predict.py that name the rows, quoted for the shell."""
    settings = CONFIGURATION.predictions[wildcards.prediction]
    if settings.files is not None and not isinstance(settings.files, str):
        return shlex.join(["--files", settings_text(settings.files)])
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
