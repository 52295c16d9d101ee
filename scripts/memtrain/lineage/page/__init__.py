"""The lineage page: one HTML file with the graph of a dataset and the rows of its splits.

From the ground up:

====== =====================================================================================
floor  modules
====== =====================================================================================
0      graph, split_lines, last_verification, rendering
1      content
====== =====================================================================================

``assets/`` holds what the page is made of: its HTML, its style and its programs, with the two
libraries that draw and lay out the graph in ``vendored/``.
"""
