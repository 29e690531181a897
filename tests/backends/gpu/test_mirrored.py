"""Tests of other rooms, on the emulated device: whatever the CPU is tested with by values."""

from emulating import mirrored

globals().update(mirrored("schedule/test_forms.py"))
globals().update(mirrored("schedule/test_in_place.py"))
globals().update(mirrored("schedule/test_atomicity.py"))
globals().update(mirrored("function/test_aliasing.py", skip=["test_forked_child"]))
globals().update(mirrored("backends/cpu/test_segments.py"))
