"""What jobs have found in files of code, kept for the jobs that come after them.

Every job has to know which code it can reach. To parse that takes longer than many a job takes, and
all jobs of a rule find the same. It is kept by the digests of the contents, so that a file that has
changed is parsed again, and one that was only copied or touched is not.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.system import canonical_json, checked_json
from memtrain.system.digests import digest_of_file
from memtrain.workflow.code_reader import CodeFacts, from_note, known_facts, learning_from, to_note

#: Most contents that a file keeps. Every edit of the code adds some; one that has more is written
#: anew, with those that a job needs.
_MOST_CONTENTS = 2000


@contextmanager
def known_code(file: Path) -> Iterator[None]:
    """In this context, parse no code whose content an earlier job has parsed.

    What is parsed in it is added to the file; without a word where that is not possible. Two jobs
    that write at the same time lose what one of them has found, and a later job finds it again.

    Args:
        file: the file that keeps what was found, JSON; it may be missing or damaged.
    """
    read = cache(lambda: _read(file))
    with learning_from(read):
        yield
    if file.exists() and not read.cache_info().currsize:
        # This process was forked from one that knew all of it.
        return
    known, found = read(), known_facts()
    if found.keys() <= known.keys():
        return
    if len(found) > _MOST_CONTENTS:
        found = {digest: facts for digest, facts in found.items() if digest not in known}
    notes = {digest: to_note(facts) for digest, facts in found.items()}
    with suppress(OSError, UserError):
        file.parent.mkdir(parents=True, exist_ok=True)
        checked_json.write(file, {"found_by": _finder(), "contents": notes})


def _read(file: Path) -> dict[str, CodeFacts]:
    try:
        content = checked_json.read(file, made_by="snakemake")
        is_ours = content["found_by"] == _finder()
        notes = content["contents"].items() if is_ours else ()
    except (UserError, OSError, KeyError, TypeError, AttributeError):
        return {}
    found = {digest: from_note(note) for digest, note in notes}
    return {digest: facts for digest, facts in found.items() if facts is not None}


@cache
def _finder() -> str:
    """Return the digest of the code that finds the facts: other code may find others."""
    folder = Path(__file__).parent
    names = ("code_reader.py", "running_code.py")
    return canonical_json.digest([digest_of_file(folder / name) for name in names])
