"""What `memtrain init` proposes for tables of different kinds."""

import re
import subprocess
from datetime import datetime, timedelta

import pytest
from benchmarks.first_datasets import DATASETS

from memtrain.config.dataset import ImportSettings
from memtrain.core.errors import UserError
from memtrain.data.tables.importer import TableImport
from tests.programs import quick_python
from tests.tables import KINDS, ROWS


def write_table(path, header, row, rows=100):
    """Write a CSV file, each of its rows made by a function of its number."""
    path.write_text("\n".join([header, *map(row, range(rows)), ""]))
    return path.name


def imported(settings):
    """Return an import by proposed settings, which has looked at all rows."""
    found = TableImport(ImportSettings.model_validate(settings))
    found.survey()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_proposal_is_a_configuration(init, tmp_path, kind):
    content = init(*KINDS[kind](tmp_path))
    assert content["splits"] == {
        "all": {"train": [0, "80%"], "validate": ["80%", "90%"], "evaluate": ["90%", "100%"]}
    }
    assert content["training"]["keep"] == "best"
    assert content["training"]["early_stopping"]["patience"] > 1


def test_numbers_words_and_missing_values(init, tmp_path):
    content = init(*KINDS["numbers"](tmp_path))
    rows, training = content["dataset"]["import"], content["training"]
    assert rows["features"] == ["area", "rooms", "district"]  # and no house_id
    assert rows["categories"] == ["district"]
    assert rows["missing"] == {"features": "keep", "target": "drop"}
    assert training["impute"] == {
        "area": {"with": "median", "indicator": True},
        "district": "category",
    }
    assert training["target"] == "standardize"
    assert training["loss"] == "MSELoss"


def test_words_are_classes_with_the_same_shares_everywhere(init, tmp_path):
    content = init(*KINDS["words"](tmp_path))
    rows = content["dataset"]["import"]
    assert rows["csv"] == {"delimiter": ";", "decimal": ","}
    assert rows["categories"] == ["kind"]
    assert rows["shuffle_once"]["stratify_by"] == "kind"
    assert content["training"]["loss"] == "CrossEntropyLoss"
    assert "target" not in content["training"]


def test_rows_in_the_order_of_time_stay_so(init, tmp_path):
    content = init(*KINDS["dates"](tmp_path))
    assert "shuffle_once" not in content["dataset"]["import"]
    assert content["dataset"]["import"]["dtypes"] == {"day": "date"}
    assert content["training"]["encode"] == {"day": ["weekday"]}


@pytest.mark.parametrize(
    ("days", "parts"),
    [
        (0.001, ["hour"]),
        (0.02, ["weekday", "hour"]),
        (1, ["day_of_year", "weekday", "hour"]),
    ],
)
def test_in_the_order_of_time_only_cycles_are_seen_that_training_rows_cover(
    init, tmp_path, days, parts
):
    def row(number):
        time = datetime(2020, 1, 1) + number * timedelta(days=days * 5)
        return f"{time:%Y-%m-%d %H:%M:%S},{number % 7}.5"

    name = write_table(tmp_path / "t.csv", "time,y", row)
    assert init(name, "--target", "y")["training"]["encode"] == {"time": parts}


@pytest.mark.parametrize(
    ("name", "spelling", "kind"),
    [
        ("day", "%Y/%m/%d", "date"),
        ("day", "%d.%m.%Y", "date"),
        ("day", "%d.%m.%Y %H:%M", "timestamp"),
        ("day", "%d %b %Y", "date"),
        ("sale_date", "%Y%m%d", "date"),
    ],
)
def test_dates_are_dates_however_they_are_written(init, tmp_path, name, spelling, kind):
    def row(number):
        # In the order of time, which is not that of the text.
        return f"{datetime(2020, 1, 1) + number * timedelta(days=5):{spelling}},{number % 7}.5"

    table = write_table(tmp_path / "t.csv", f"{name},y", row)
    content = init(table, "--target", "y")
    assert content["dataset"]["import"]["dtypes"] == {name: kind}
    assert "shuffle_once" not in content["dataset"]["import"]
    assert content["training"]["encode"][name][:2] == ["day_of_year", "weekday"]


@pytest.mark.parametrize("spelling", ["%d/%m/%Y", "%m-%d-%Y", "%d/%m/%y %H:%M"])
def test_dates_that_may_be_others_are_left_out_with_the_reason(init, tmp_path, capsys, spelling):
    def row(number):
        day = datetime(2020, 1, 1) + number * timedelta(days=5)
        return f"{day:{spelling}},{number % 7}.5,{number}.5"

    content = init(write_table(tmp_path / "t.csv", "day,y,x", row), "--target", "y")
    assert content["dataset"]["import"]["features"] == ["x"]
    assert "nobody can tell the day from the month" in capsys.readouterr().out


def test_dates_out_of_order_are_shuffled_and_told(init, tmp_path, capsys):
    name = write_table(
        tmp_path / "t.csv", "day,y", lambda row: f"2024-01-{28 - row % 28:02},{row}.5"
    )
    content = init(name, "--target", "y")
    assert "shuffle_once" in content["dataset"]["import"]
    assert "the rows are not in the order of day" in capsys.readouterr().err


def test_rows_of_an_identifier_stay_together(init, tmp_path):
    content = init(*KINDS["groups"](tmp_path))
    rows = content["dataset"]["import"]
    assert rows["shuffle_once"]["group_by"] == "patient_id"
    assert "patient_id" not in rows["features"]
    # As float32, seconds since 1970 would be rounded; an integer target is a class.
    assert rows["dtypes"] == {"seen": "int64", "responds": "int64"}


def test_features_and_target_in_two_files(init, tmp_path):
    rows = init(*KINDS["matrices"](tmp_path))["dataset"]["import"]
    assert rows["path"] == {"features": "X.npy", "target": "y.npy"}
    assert rows["features"] == ":"
    assert rows["target"] == ["0"]


@pytest.mark.parametrize(("rows", "classes"), [(100, True), (30, False)])
def test_whole_numbers_are_classes_where_each_has_enough_rows(init, tmp_path, rows, classes):
    name = write_table(tmp_path / "t.csv", "x,y", lambda row: f"{row / 7},{row % 5}", rows)
    loss = "CrossEntropyLoss" if classes else "MSELoss"
    assert init(name, "--target", "y")["training"]["loss"] == loss
    other = "regression" if classes else "classification"
    changed = init(name, "--target", "y", "--force", "--task", other)
    assert changed["training"]["loss"] != loss


def test_columns_of_no_use_are_left_out(init, tmp_path):
    def row(number):
        return f"{number},5,,note {number},{number % 7}.5,{number * 2}.5"

    name = write_table(tmp_path / "t.csv", "n,constant,empty,text,good,y", row)
    assert init(name, "--target", "y")["dataset"]["import"]["features"] == ["good"]
    text = (tmp_path / "config.yaml").read_text().replace("\n    #", "")
    assert "n (counts the rows)" in text
    assert "constant (the same in every row)" in text


def test_names_that_yaml_and_selections_take_for_something_else(init, tmp_path):
    header = '"no","0:64","a*","a, b","x: 1","# y"'
    name = write_table(tmp_path / "t.csv", header, lambda row: ",".join([f"{row % 9}.5"] * 6))
    rows = init(name, "--target", "# y")["dataset"]["import"]
    assert rows["features"] == ["no", "0:64", "a*", "a, b", "x: 1"]
    assert rows["target"] == ["# y"]


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_a_column_without_a_name_is_left_out(init, tmp_path, name):
    def row(number):
        return f"{number * 37 % 100},{number % 7}.5,{number * 2}.5"

    table = write_table(tmp_path / "t.csv", f"{name},good,y", row)
    assert init(table, "--target", "y")["dataset"]["import"]["features"] == ["good"]


def test_classes_below_zero_are_words(init, tmp_path):
    name = write_table(tmp_path / "t.csv", "x,y", lambda row: f"{row / 7},{row % 2 * 2 - 1}")
    rows = init(name, "--target", "y")["dataset"]["import"]
    assert rows["categories"] == ["y"]
    assert "dtypes" not in rows
    assert imported(rows).source().class_names == ["-1", "1"]


def test_integers_that_no_float_holds_are_rounded(init, tmp_path):
    def row(number):
        return f"{2**60 + number**3},{number * 2**55},{number}.5"

    name = write_table(tmp_path / "t.csv", "large,spread,y", row)
    rows = init(name, "--target", "y")["dataset"]["import"]
    assert rows["dtypes"] == {"large": "float64", "spread": "float64"}
    assert rows["inexact"] == {"large": "round", "spread": "round"}
    assert imported(rows).rows == 100


def test_numbers_that_float32_has_not_are_doubles(init, tmp_path):
    name = write_table(tmp_path / "t.csv", "x,y", lambda row: f"{row}e-50,{row}.5e-44")
    rows = init(name, "--target", "y")["dataset"]["import"]
    assert rows["dtypes"] == {"x": "float64", "y": "float64"}
    assert imported(rows).rows == 100


def test_columns_called_as_the_keys_of_all_features_and_of_the_target(init, tmp_path):
    def row(number):
        cells = [str(number % 9), "" if number % 3 else f"{number}.5", "x" if number % 5 else ""]
        return ",".join(cells)

    name = write_table(tmp_path / "t.csv", "features,target,word", row)
    rows = init(name, "--target", "features")["dataset"]["import"]
    assert rows["missing"] == {"target": "keep", "word": "keep"}
    found = imported(rows)
    assert found.rows == 100
    types = {column.name: column.dtype for column in found.source().columns}
    assert types == {"target": "float32", "word": "int64", "features": "int64"}


def test_features_of_a_few_values_are_left_out(init, tmp_path):
    def row(number):
        return f"{number}.5,{f'{number}.5' if number < 9 else ''},{number * 2}.5"

    name = write_table(tmp_path / "t.csv", "x,rare,y", row)
    assert init(name, "--target", "y")["dataset"]["import"]["features"] == ["x"]


def test_identifiers_that_some_rows_lack_make_no_groups(init, tmp_path):
    def row(number):
        return f"{f'p{number % 20}' if number % 9 else 'NaN'},{number % 7}.5,{number}.5"

    name = write_table(tmp_path / "t.csv", "user_id,x,y", row)
    rows = init(name, "--target", "y")["dataset"]["import"]
    assert rows["shuffle_once"] == 1
    assert imported(rows).rows == 100


def test_without_a_target_the_columns_are_listed(init, tmp_path, capsys):
    assert init(KINDS["numbers"](tmp_path)[0]) is None
    printed = capsys.readouterr().out
    assert f"{ROWS} rows" in printed
    assert "district  text, 13 missing" in printed
    assert "memtrain init houses.csv --target price" in printed


def test_an_existing_configuration_is_kept(init, tmp_path):
    (tmp_path / "config.yaml").write_text("mine: 1\n")
    arguments = KINDS["numbers"](tmp_path)
    with pytest.raises(UserError, match="--force"):
        init(*arguments)
    assert (tmp_path / "config.yaml").read_text() == "mine: 1\n"
    assert init(*arguments, "--force")["dataset"]["name"] == "houses"


@pytest.mark.parametrize(
    ("cells", "target", "message"),
    [
        ("1.5,2.5", "z", "there is no column 'z'"),
        ("1.5,2.5", "y", "the same value in every row"),
        ("1.5,", "y", "all values are missing"),
        ("1.5,2024-01-01", "y", "same value|dates"),
        ("1.5,inf", "y", "same value|infinite"),
        ("1.5,{row}.5e200", "y", "beyond 1e\\+150; their logarithms"),
        ("{row}.5e200,{row}.5", "y", "'x' is left out: numbers beyond 1e\\+150"),
    ],
)
def test_targets_that_no_model_can_learn(init, tmp_path, cells, target, message):
    name = write_table(tmp_path / "t.csv", "x,y", lambda row: cells.format(row=row))
    with pytest.raises(UserError, match=message):
        init(name, "--target", target)
    assert not (tmp_path / "config.yaml").exists()


def test_too_few_rows(init, tmp_path):
    few = write_table(tmp_path / "few.csv", "x,y", lambda row: f"{row}.5,{row}.25", 10)
    with pytest.raises(UserError, match="10 rows, too few"):
        init(few, "--target", "y")


#: Files without a header: what a row is, by three numbers, and how the file is written.
UNNAMED = {
    "numbers": ("{}.5,{}.5,{}", {}),
    "words, too": ("{}.5,{},kind {}", {}),
    "whole numbers and words": ("{},state {},7{}", {}),
    "blanks": ("{}.5 2{} {}", {"delimiter": " "}),
    "decimal commas": ("{},5;{},5;{}", {"delimiter": ";", "decimal": ","}),
    "words alone": ("a{},b{},c{}", {}),
}


@pytest.mark.parametrize("name", UNNAMED)
@pytest.mark.parametrize("target", [None, "0"])
def test_columns_without_names_have_numbers(init, tmp_path, name, target):
    row, csv = UNNAMED[name]
    lines = [row.format(number % 3, number % 5, number % 2) for number in range(1, 61)]
    (tmp_path / "t.csv").write_text("\n".join([*lines, ""]))
    content = init("t.csv", *(["--target", target] if target else []))
    rows = content["dataset"]["import"]
    assert rows["csv"] == csv | {"column_names": "numbers"}
    assert rows["target"] == [target or "2"]
    assert set(rows["features"]) == {"0", "1", "2"} - set(rows["target"])


@pytest.mark.parametrize("first", ["country,1990,2000", "0,1,2,3", "1990,1991,1992,1993", "x,y"])
def test_a_header_may_have_numbers(init, tmp_path, first):
    names = first.split(",")
    lines = [",".join(f"{row + place}.5" for place in range(len(names))) for row in range(60)]
    (tmp_path / "t.csv").write_text("\n".join([first, *lines, ""]))
    rows = init("t.csv", "--target", names[-1])["dataset"]["import"]
    assert "csv" not in rows
    assert [*rows["features"], *rows["target"]] == names


@pytest.mark.slow
def test_a_mistake_is_told_in_a_sentence(repository, tmp_path):
    command = [quick_python(), repository / "scripts/memtrain_command.py"]
    for arguments in (["init", "none.csv", "--target", "y"], ["run"]):
        done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("memtrain_command.py: error: ")
        assert "Traceback" not in done.stderr


#: Of datasets of many kinds: the features that are proposed, where they are few; and what is left
#: out.
PROPOSED = {
    "frauds": (["amount", "hour", "country"], ["payment_id"]),
    "patients": (["age", "dose", "visit"], ["patient_id"]),
    "trips": (["distance", "start", "driver", "vendor"], []),
    "reviews": (["stars", "words", "price"], ["review_id", "text", "url"]),
    "cities": (["city", "size"], []),
}


@pytest.mark.parametrize("name", DATASETS)
def test_datasets_of_many_kinds(init, tmp_path, name):
    content = init(*DATASETS[name].write(tmp_path, 400))
    assert set(content["splits"]["all"]) == {"train", "validate", "evaluate"}
    if name in PROPOSED:
        features, left_out = PROPOSED[name]
        assert content["dataset"]["import"]["features"] == features
        text = " ".join((tmp_path / "config.yaml").read_text().replace("#", "").split())
        for column in left_out:
            assert re.search(rf"left out: .*\b{column}\b.* \(", text)
