"""How many probabilities of a row are kept, where there are many classes.

This module needs no PyTorch, so that predictions can be read without it.
"""

#: Classes up to which the probabilities of all of them are kept.
MOST_PROBABILITIES = 1000

#: Most probable classes that are kept where there are more.
STORED_CLASSES = 10
