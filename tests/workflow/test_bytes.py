"""The same configuration gives the same bytes, wherever and however it runs."""

import copy

from tests.workflow.conftest import CONFIGURATION, REPRODUCIBLE


def test_two_folders_and_one_or_two_cores_give_the_same_bytes(new_project):
    configuration = copy.deepcopy(CONFIGURATION)
    # With --cores 1, Snakemake offers one thread, but the training uses the two of its recipe.
    configuration["splits"]["first"]["training"] = {
        "threads": 2,
        "model": {"name": "mlp", "hidden": [256, 256]},
    }
    del configuration["splits"]["share"]
    results = []
    for name, cores in (("one", 1), ("two", 2)):
        project = new_project(configuration, name)
        project.snakemake(cores=cores)
        results.append(project.results(*REPRODUCIBLE, "splits/*/figures/*.png"))
    one, two = results
    assert len(one) == 4 + 2 * 8
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
