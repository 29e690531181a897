"""Tests of other rooms, on the emulated device: whatever the CPU is tested with by values.

Modules that ask the interpreter for values (those of ops, derivatives, rules) ask the device for
the same, in the forms that programs take after rewriting.
"""

from emulating import mirrored

MODULES = {
    "ops/test_barrier.py": {},
    "ops/test_contraction.py": {},
    "ops/test_elementwise.py": {},
    "ops/test_generate.py": {},
    "ops/test_halves.py": {},
    "ops/test_indexing.py": {},
    "ops/test_joining.py": {},
    "ops/test_movement.py": {},
    "ops/test_nnet.py": {},
    "ops/test_random.py": {"skip": ["test_all_orders_are_equally_likely"]},  # takes long
    "ops/test_reduction.py": {},
    "ops/test_shape.py": {},
    "autodiff/test_gradient.py": {"skip": ["test_long_chains_and_wide_sums"]},  # takes long
    "autodiff/test_jacobian.py": {},
    "autodiff/test_stabilised.py": {},
    "rewrite/test_engine.py": {},
    "rewrite/test_expressions.py": {},
    "rewrite/test_phases.py": {},
    "rewrite/test_rules.py": {},
    "kernels/permutation/test_permutation.py": {},
    "schedule/test_forms.py": {},
    "schedule/test_in_place.py": {},
    "schedule/test_atomicity.py": {},
    "schedule/test_shapes.py": {},
    "backends/cpu/test_segments.py": {},
    "backends/cpu/test_runner.py": {
        "only": [
            "test_sizes_that_depend_on_values",
            "test_map_is_the_loop",
            "test_map_over_arrays_of_every_kind",
            "test_map_over_the_storage_that_is_updated",
            "test_map_refuses",
            "test_sizes_that_wrap_around_are_errors",
        ]
    },
    "backends/cpu/test_halves.py": {"skip": ["test_kernels_know_halves_as_operands_only"]},
    # how many short rows are asked of the CPU's own code
    "backends/cpu/test_lanes.py": {
        "only": ["test_infinite_and_missing_values", "test_a_wrong_label_among_many_is_reported"]
    },
    "function/test_aliasing.py": {
        # what is borrowed is the host's array: a device has its own
        "skip": [
            "test_forked_child",
            "test_borrowed_storage",
            "test_a_borrowed_storage_belongs_to_one_variable",
        ]
    },
    "function/test_arguments.py": {},
    "function/test_bad_input.py": {},
    "function/test_modes.py": {
        "skip": [
            "test_profile_counts_steps_by_kernel_and_line",
            "test_profile_of_a_function_with_python_in_it",
        ]
    },
    "graph/test_pickling.py": {},
    "tensor/test_activations_and_losses.py": {},
    "tensor/test_namespace.py": {},
    "tensor/test_numpy_functions.py": {},
    "tensor/test_variable.py": {},
    "nn/test_activations.py": {},
    "nn/test_clipping.py": {},
    "nn/test_halves.py": {},
    "nn/test_init.py": {},
    "nn/test_metrics.py": {},
    "nn/test_penalties.py": {},
    "nn/test_schedules.py": {},
    "nn/test_losses.py": {},
    "nn/test_updates.py": {},
    "nn/test_every_function_trains.py": {},
    "nn/layers/test_core.py": {},
    "nn/layers/test_base.py": {},
    "nn/layers/test_dropout.py": {},
    "nn/layers/test_in_training.py": {},
    "nn/layers/test_merge.py": {},
    "nn/models/test_model.py": {},
    "nn/models/test_saving.py": {},
    "nn/models/test_sequential.py": {},
    "nn/training/test_callbacks.py": {},
    "nn/training/test_checkpoint.py": {"skip": ["test_killed_and_resumed"]},  # other processes
    "nn/training/test_data.py": {},
    "nn/training/test_fit.py": {},
    "nn/training/test_guard.py": {},
}

for path, choice in MODULES.items():
    globals().update(mirrored(path, **choice))
