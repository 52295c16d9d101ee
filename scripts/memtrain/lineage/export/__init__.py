"""Lineage in the formats of others: a module a format, all of which write down one provenance.

====== =====================================================================================
floor  modules
====== =====================================================================================
0      packages, provenance
1      rocrate_files, prov, openlineage, slsa, croissant, replaying
2      rocrate, signing
====== =====================================================================================
"""
