"""Tests of other rooms, on the emulated device: whatever the CPU is tested with by values."""

from emulating import mirrored

MODULES = {
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
        ]
    },
    "function/test_aliasing.py": {
        # what is borrowed is the host's array: a device has its own
        "skip": [
            "test_forked_child",
            "test_borrowed_storage",
            "test_a_borrowed_storage_belongs_to_one_variable",
        ]
    },
    "function/test_bad_input.py": {},
    "function/test_modes.py": {
        "skip": [
            "test_profile_counts_steps_by_kernel_and_line",
            "test_profile_of_a_function_with_python_in_it",
        ]
    },
    "tensor/test_activations_and_losses.py": {},
    "nn/test_activations.py": {},
    "nn/test_losses.py": {},
    "nn/test_updates.py": {},
    "nn/test_every_function_trains.py": {},
    "nn/layers/test_core.py": {},
    "nn/layers/test_dropout.py": {},
}

for path, choice in MODULES.items():
    globals().update(mirrored(path, **choice))
