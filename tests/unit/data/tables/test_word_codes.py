"""Codes of words depend on the text of a word alone."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from memtrain.data.tables.word_codes import MISSING_WORD, code_of_word, codes_of_words

words = st.lists(st.none() | st.text(max_size=5), max_size=20)


@given(words, words)
def test_code_of_a_word_does_not_depend_on_the_words_beside_it(left, right):
    together = codes_of_words(pa.array([*left, *right], pa.string())).tolist()
    apart = [codes_of_words(pa.array(part, pa.string())).tolist() for part in (left, right)]

    assert together == apart[0] + apart[1]


@given(words)
def test_equal_words_have_equal_codes_and_a_missing_one_has_its_own(column):
    codes = codes_of_words(pa.array(column, pa.string())).tolist()

    assert codes == [MISSING_WORD if word is None else code_of_word(word) for word in column]
    assert (MISSING_WORD in codes) == (None in column)
    assert len(set(codes)) == len(set(column))


def test_codes_stay_what_they_are():
    # Data files hold them: another function would be another format.
    assert code_of_word("north") == 6164347370713582292
    assert codes_of_words(pa.chunked_array([["north"], [None]]).combine_chunks()).tolist() == [
        6164347370713582292,
        0,
    ]
