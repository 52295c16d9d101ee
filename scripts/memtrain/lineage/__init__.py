"""Lineage: what every run read and wrote, and the questions that can be asked of it.

Only the scripts use this package, never the floors that compute results. From the ground up:

====== =====================================================================================
floor  modules
====== =====================================================================================
0      privacy, run_record, mistakes
1      surroundings, openlineage_events
2      record_store
3      recorder, index
4      workflow_run, impact, explanation, history, finding, acts
5      difference, verification, withdrawing
6      page
7      export
8      commands
====== =====================================================================================
"""
