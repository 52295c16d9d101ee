"""No secret and no place outside of the project gets into a record; harmless texts stay."""

import argparse
import base64
import getpass
import json
import os
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memtrain.core.errors import UserError
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.privacy import Privacy
from memtrain.lineage.records.recorder import recording
from memtrain.lineage.records.secrets import is_secret
from memtrain.lineage.records.user_actions import record_action

PROJECT = "/home/x/project"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/x/project/results/a.json is bad", "results/a.json is bad"),
        ("open /etc/hosts: denied", "open <outside>/hosts: denied"),
        ("'/data/big file.csv'", "'<outside>/big file.csv'"),
        ("--bind /scratch:/home/bob/private", "--bind <outside>/scratch:<outside>/private"),
        ("-I/usr/local/include", "-I<outside>/include"),
        (">/home/bob/log", "><outside>/log"),
        ("file:///home/bob/rows.csv", "file:<outside>/rows.csv"),
        ("/home/bob and /Users/eve/", "<outside> and <outside>"),
        ("/data/clinic(x)/patients.csv", "<outside>/patients.csv"),
        (r"/data/my\ clinic/patients.csv", "<outside>/patients.csv"),
        ("~bob/rows.csv, ~nobody-here/x/y", "<outside>/rows.csv, <outside>/y"),
        ("../home/alice/clinic/*.csv", "<outside>/*.csv"),
        ("results/../../../alice/x", "<outside>/x"),
        ("path=../../..", "path=<outside>"),
        ("results/../config.yaml", "results/../config.yaml"),
        ("<outside>/hosts", "<outside>/hosts"),
        ("--config token=abc rows=5", "--config token=*** rows=5"),
        ("--api-key xyz", "--api-key ***"),
        ("--password 'a b' --cores 1", "--password *** --cores 1"),
        ("https://me:word@host/path", "https://***@host/path"),
        ("https://me:p@ss@host/path", "https://***@host/path"),
        ("me:p@ss@host:/data", "***@host:<outside>/data"),
        ("https://h/x?sig=a%2Fb&sv=1", "https://h/x?sig=***&sv=1"),
        ("s3://b/k?X-Amz-Signature=0a&X-Amz-Date=1", "s3://b/k?X-Amz-Signature=***&X-Amz-Date=1"),
        ("Authorization: Basic dTpw", "Authorization: ***"),
        ('-H "Authorization: Bearer hunter4" -v', '-H "Authorization: ***" -v'),
        ("Bearer hunter4", "Bearer ***"),
        ("the password is hunter2", "the password is ***"),
        ("pwd=a,b;c", "pwd=***"),
        ("with hf_abcdefghijklmnopqrst", "with ***"),
        ('{"password": "a b", "rows": 5}', '{"password": ***, "rows": 5}'),
        (r'"{\"password\": \"a b\"}"', r'"{\"password\": ***'),
        ("f\udcfcr Anna", "für Anna"),
    ],
)
def test_texts_lose_secrets_and_paths(text, expected):
    assert Privacy(PROJECT).text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "results/mock and 1/2",
        "tokens: 5",
        "token_embedding: 16, n_tokens=8 max_tokens=1e6",
        "learning_rate=0.001 momentum: 0.9",
        "Basic statistics and other things",
        "results/*/model.safetensors, results/{split}/split.json, a//b",
        "Input files updated by another job: results/d/split.json",
        "https://pytorch.org/docs?version=2",
        "10:30 at 5/6 of the way ~ 3 h",
        "sha256:0123456789abcdef",
        "module: networks:Net",
        "rows [0, 5) ...",
    ],
)
def test_harmless_texts_stay(text):
    assert Privacy(PROJECT).text(text) == text


def test_contents_lose_secrets_at_any_depth():
    content = {
        "a": [{"my_token": "x", "n": 1}],
        "path": "/etc/hosts",
        "api_keys": ["x", {"y": ["z", 5]}],
        "credentials": {"db": "x", "port": 7, "used": True, "none": None},
        "tokens": {"b": "c", "count": 4},
        "/home/bob/x": "y",
    }
    assert Privacy("/home/x").content(content) == {
        "a": [{"my_token": "***", "n": 1}],
        "path": "<outside>/hosts",
        "api_keys": ["***", {"y": ["***", "***"]}],
        "credentials": {"db": "***", "port": "***", "used": True, "none": None},
        "tokens": {"b": "***", "count": 4},
        "<outside>/x": "y",
    }


def test_harmless_contents_stay():
    content = {
        "tokens": 5,
        "token_embedding": "sine",
        "tokenizer": "bpe",
        "pad_token": "<pad>",
        "learning_rate": 1e-3,
        "keys": ["a"],
        "key": "x",
        "passes": 3,
        "hidden": [16, 8],
        "none": None,
    }
    assert Privacy("/home/x").content(content) == content


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "awsSecretAccessKey",
        "db-password",
        "API_KEY",
        "apikey",
        "authToken",
        "PGPASSWORD",
    ],
)
def test_names_of_secrets(name):
    assert is_secret(name)


#: A secret is known by its beginning in what is left of it.
secrets_strategy = st.text(
    string.ascii_letters + string.digits + "!#$%*+-./:@^_~,;&(){}[]=", min_size=4, max_size=12
).map(lambda text: f"Qz7{text}Qz7")

TEMPLATES = [
    "password={}",
    "--password {}",
    "--api-key={} --cores 1",
    "password: {}",
    "the password is {}",
    'x "token": "{}" y',
    "token='{}' rows=5",
    '{{"secret": "{}", "rows": 5}}',
    "Authorization: Bearer {}",
    '-H "Authorization: Token {}"',
    "Bearer {}",
    "postgres://me:{}@host/db",
    "scp me:{}@host:rows .",
    "PGPASSWORD={} psql",
]


@example(secret="Qz70@0/Qz7", template="postgres://me:{}@host/db")
@given(secret=secrets_strategy, template=st.sampled_from(TEMPLATES))
def test_no_secret_survives_in_a_text(secret, template):
    assert "Qz7" not in Privacy(PROJECT).text(template.format(secret))


@given(secret=secrets_strategy)
def test_no_login_survives_in_base64(secret):
    login = base64.b64encode(f"me:{secret}".encode()).decode()
    assert login not in Privacy(PROJECT).text(f"Proxy Basic {login}")


contents_strategy = st.recursive(
    st.none() | st.booleans() | secrets_strategy,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "rows", "path"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(content=contents_strategy, name=st.sampled_from(["password", "hf_token", "apiKeys", "auth"]))
def test_no_secret_survives_below_a_secret_name(content, name):
    assert "Qz7" not in json.dumps(Privacy(PROJECT).content({"outer": [{name: content}]}))


PLACES = [
    *("/{}/x", "/home/{}", "/home/{}/a/b", "a:/data/{}/x", "--f=/d/{}/x", "'/d/{} e/x'"),
    *("../../{}/x", "a/../../../{}/x", "~{}/x", "-B/data/{}/x", "[/d/{}/x]", "(/{}/x,/{}/y)"),
]

folders = st.text(string.ascii_lowercase + "-_.", min_size=1, max_size=8).map("Qz7{}".format)


@given(
    folder=folders,
    template=st.sampled_from(PLACES),
)
def test_no_folder_outside_of_the_project_survives(folder, template):
    assert "Qz7" not in Privacy(PROJECT).text(template.format(folder, folder))


@given(text=st.text(max_size=80))
def test_every_text_becomes_one_that_stays_as_it_is(text):
    once = Privacy(PROJECT).text(text)
    assert Privacy(PROJECT).text(once) == once
    once.encode()


def run_that_fails(folder, secret):
    """Record a run that names a secret wherever it can."""
    parser = argparse.ArgumentParser()
    add_recording_arguments(parser)
    arguments = parser.parse_args(["--records", str(folder)])
    with recording(os.path.abspath("scripts/generate_data.py"), arguments) as record:
        record.set(model={"api_keys": [secret], "credentials": {"db": secret}})
        record.tell("metrics", note=f"token={secret}")
        raise UserError(f"/home/Qz7/x: the password {secret} is wrong")


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(secret=secrets_strategy)
def test_no_secret_survives_in_the_records_of_a_run(tmp_path_factory, secret):
    folder = tmp_path_factory.mktemp("records")
    with pytest.raises(UserError):
        run_that_fails(folder, secret)
    record_action(folder, "withdraw", f"password: {secret}", kind="k", facts={"pwd": secret})
    texts = [path.read_text() for path in folder.rglob("*.jsonl")]
    assert len(texts) == 2
    assert not any("Qz7" in text for text in texts)


def test_a_user_without_a_name_is_recorded_by_number(tmp_path, monkeypatch):
    def no_name():
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr(getpass, "getuser", no_name)
    record_action(tmp_path, "withdraw", "x", kind="k", facts={})
    (text,) = [path.read_text() for path in tmp_path.rglob("*.jsonl")]
    assert f'"user": "{os.getuid()}"' in text
