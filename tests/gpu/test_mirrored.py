"""Tests of other rooms on the GPU: those that the emulated device has too, and its own kernels."""

import hardware
import pytest

hardware.needed()

KERNELS = (
    "test_values_are_those_of_the_cpu",
    "test_few_long_rows_are_cut_into_parts",
    "test_few_tall_columns_are_cut_into_parts",
    "test_rows_whose_values_are_overwritten_are_not_cut",
    "test_scatter_into_a_vector",
    "test_scatter_of_rows_is_in_order",
    "test_scatter_with_several_indices",
    "test_sizes_need_no_new_texts",
    "test_a_minibatch_that_moves_needs_no_other_binding",
    "test_products_read_what_moves",
    "test_new_sizes_and_new_arrays_are_bound",
    "test_a_failed_check_changes_nothing",
    "test_draws_are_those_of_the_cpu_bit_for_bit",
    "test_permutations_are_those_of_the_cpu",
)

for path, only in (
    ("backends/gpu/test_mirrored.py", ()),
    ("backends/gpu/test_emulated.py", KERNELS),
):
    tests, fixtures = hardware.tests_of(path, only)
    globals().update(fixtures)
    for name, test in tests.items():
        if hardware.FAKE and "another_process" in name:
            continue  # which knows nothing of the fake
        globals()[name] = pytest.mark.usefixtures("on_device")(test)
