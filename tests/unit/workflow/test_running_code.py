"""Which edits of a file of code count: those that change what runs."""

import ast
import os
from pathlib import Path

import pytest

from memtrain.workflow.running_code import running_code

CODE = '''\
"""A model."""

# A comment.
import torch


class Net:
    """Docstring: ä."""

    text = """two
lines  # no comment
  """

    def forward(self, x):
        """Return
        something."""
        y = "#"  # ü
        return f"{x}#"
'''


def content(folder, text, name="code.py"):
    path = folder / f"{len(list(folder.iterdir()))}{name}"
    path.write_text(text)
    return running_code(path)


EDITS_THAT_DO_NOT_COUNT = {
    "comment": ("# A comment.\n", ""),
    "comment at the end of a line": ("# ü", "# another"),
    "comment added": ("import torch", "import torch  # noqa"),
    "docstring of the module": ("A model.", "Another model."),
    "docstring of a class": ("Docstring: ä.", "No."),
    "docstring over several lines": ("Return\n        something", "Return"),
    "docstring removed": ('    """Docstring: ä."""\n', ""),
    "blank line": ("\n\n\nclass", "\nclass"),
    "blanks at the end of a line": ("import torch\n", "import torch  \n"),
    "form feed": ("# A comment.", "\x0c# A comment."),
    "line breaks of Windows": ("\n", "\r\n"),
}

EDITS_THAT_COUNT = {
    "name": ("Net", "Net2"),
    "number sign in a string": ('"#"', '"##"'),
    "number sign in an f-string": ("{x}#", "{x}"),
    "text that looks like a comment": ("lines  # no comment", "lines"),
    "blanks at the end of a line of a string": ("two\n", "two \n"),
    "blank line in a string": ("two\n", "two\n\n"),
    "last line of a string": ('\n  """', '\n """'),
    "indentation": ("        return", "    return"),
}


@pytest.mark.parametrize("edit", EDITS_THAT_DO_NOT_COUNT)
def test_an_edit_that_does_not_count(tmp_path, edit):
    edited = CODE.replace(*EDITS_THAT_DO_NOT_COUNT[edit])
    assert edited != CODE
    assert content(tmp_path, edited) == content(tmp_path, CODE)


@pytest.mark.parametrize("edit", EDITS_THAT_COUNT)
def test_an_edit_that_counts(tmp_path, edit):
    edited = CODE.replace(*EDITS_THAT_COUNT[edit])
    assert edited != CODE
    assert content(tmp_path, edited) != content(tmp_path, CODE)


@pytest.mark.parametrize(
    "line",
    ["print(__doc__)", "import inspect", "net = torch.jit.script(Net())", "import linecache"],
)
def test_a_file_that_reads_itself_counts_whole(tmp_path, line):
    text = f"{CODE}{line}\n"
    edited = text.replace("A model.", "Another model.")
    assert content(tmp_path, edited) != content(tmp_path, text)
    # Only code reads: a comment that mentions it does not.
    text = f"{CODE}# {line}\n"
    edited = text.replace("A model.", "Another model.")
    assert content(tmp_path, edited) == content(tmp_path, text)


def test_a_file_that_is_no_code_counts_whole(tmp_path):
    for text, name in [("# a comment\n", "style.css"), ("def (:  # a comment\n", "code.py")]:
        assert content(tmp_path, text, name) == text.encode()


@pytest.mark.parametrize("text", ['f"{x["a"]}#"  # a\n', "f'{d['#']}'\n"])
def test_an_f_string_with_its_own_quotes_inside_counts_whole(tmp_path, text):
    """Python 3.12 reads it; older versions cannot parse it."""
    assert content(tmp_path, text) == text.encode()


def test_escaped_braces_and_formats_in_f_strings_are_understood(tmp_path):
    text = 'a = f"\\n{b}}}" + f"{c:{d}}" + f"{{"'
    assert content(tmp_path, f"{text}  # a comment\n") == f"{text}\n".encode()


@pytest.mark.slow
def test_what_is_left_of_code_means_the_same(tmp_path):
    """What is left of modules of the standard library has the same tree, but for docstrings."""
    compared = 0
    for path in sorted(Path(os.__file__).parent.glob("*.py"))[::4]:
        left = running_code(path)
        # A function whose body was its docstring alone cannot be parsed any more.
        if left != path.read_bytes() and can_be_parsed(left):
            assert tree(left) == tree(path.read_bytes()), path
            compared += 1
    assert compared > 10


def can_be_parsed(source):
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def tree(source):
    """Return the tree of some code as text, with an empty statement in place of each docstring."""
    root = ast.parse(source)
    for node in ast.walk(root):
        with_docstring = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, with_docstring) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return ast.dump(root)
