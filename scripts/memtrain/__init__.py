"""What the scripts of memtrain share. A plain package: nothing to install.

Modules stand on floors, and import only from floors below their own (those of floor 0, each small
and of use to all, also from one another):

====== =====================================================================================
floor  modules
====== =====================================================================================
0      errors, interpreter, program, progress, atomic_files, canonical_json, code_files,
       ranges, random_streams, field_statistics, settings_types, named_objects
1      record_file, config
2      config_file, memmap_dataset, row_order, manifest, recipe, source
3      transforms, losses, models, mock_data, table_files
4      accumulation, table_import, split_resolution, metrics
5      trainer, evaluation, summary, figures
====== =====================================================================================
"""

from memtrain.interpreter import require_environment

require_environment()
