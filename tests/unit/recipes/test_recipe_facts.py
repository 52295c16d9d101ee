"""The facts of a recipe are read from ``split.json``, or an error names the file."""

import pytest

from memtrain.core.errors import UserError
from memtrain.recipes.recipe_facts import read_recipe_facts


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"training": {}}'])
def test_a_file_that_is_not_a_recipe_is_an_error_that_names_it(tmp_path, content):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(UserError, match=r"split\.json.*Remove it and run resolve_splits again"):
        read_recipe_facts(tmp_path / "split.json")


@pytest.mark.parametrize("training", ["{}", "[]", '{"settings": null}'])
def test_a_recipe_with_other_keys_has_no_settings_and_no_workload(tmp_path, training):
    (tmp_path / "split.json").write_text(f'{{"training": {training}, "evaluation": {{}}}}')
    facts = read_recipe_facts(tmp_path / "split.json")
    assert (facts.settings, facts.workload) == (None, None)
