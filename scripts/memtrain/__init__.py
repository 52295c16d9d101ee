"""What the scripts of memtrain share. A plain package: nothing to install.

Modules stand on floors, and import only from floors below their own (those of floor 0, each small
and of use to all, also from one another):

====== =====================================================================================
floor  modules
====== =====================================================================================
0      errors, interpreter, program, progress, atomic_files, canonical_json, code_files,
       ranges, random_streams, rounding, field_statistics, settings_types, named_objects,
       byte_sizes, dataset_settings, training_settings, mount_table, file_systems,
       memory_limits, gradient_tree, processes, stopping, optimizer_step, training_progress,
       lineage_settings, results_folder, digests, asked_resources,
       job_benchmark, shared_file, peak_memory, preempted_jobs, selecting,
       file_names
1      record_file, config, training_history, training_result, figures, checkpoint,
       sharding
2      config_file, memmap_dataset, row_order, shard_summaries, recipe, source, optimizers,
       evaluation_result, prediction_counts, trained_weights, block_readers,
       external_shuffle, withdrawals
3      transforms, losses, models, mock_data, table_files, column_encoding, predictions,
       metrics, summary, regression_figures, classification_figures, learning_curve,
       shuffle_buffer, visiting_order, manifest, loading_arguments, running_arguments,
       training_report, training_status, shard_check
4      slot_loss, training_parts, table_import, summary_table, summary_figures,
       evaluation_figures, batch_gathering, status_table, stage_in
5      slots_together, block_loader
6      slot_gradients, evaluation, rehearsal
7      accumulation, split_resolution
8      fast_accumulation
9      trainer
====== =====================================================================================
"""

from memtrain.cli.environment_check import require_environment

require_environment()
