"""The commands of ``lineage.py``: a module a group, each of which adds its own to the parser.

====== =====================================================================================
floor  modules
====== =====================================================================================
0      question
1      exploring, checking, comparing, exporting, signing
2      drawing
====== =====================================================================================
"""
