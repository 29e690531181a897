"""Scalar functions that are one instruction of a device.

Each has its own text where the architecture has the instruction, and that of all back ends
elsewhere. Values are the same, except that NaN may have other bits.
"""

import functools

from symnet.kernels.scalar.c import c_source

_HALF_BITS = 'unsigned short y; asm("cvt.rn.{kind}.f32 %0, %1;" : "=h"(y) : "f"(x0)); return y;'
_FROM_FLOAT16 = 'asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"({x}));'

_INSTRUCTIONS: dict[tuple[str, ...], tuple[int, str]] = {  # the first architecture, the body
    ("float16_bits", "float32"): (53, _HALF_BITS.format(kind="f16")),
    ("bfloat16_bits", "float32"): (80, _HALF_BITS.format(kind="bf16")),
    ("float16_from_bits", "uint16"): (53, f"float y; {_FROM_FLOAT16.format(x='x0')} return y;"),
    ("round_float16", "float32"): (
        53,
        'unsigned short h; float y; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x0)); '
        f"{_FROM_FLOAT16.format(x='h')} return y;",
    ),
    ("round_bfloat16", "float32"): (
        80,
        'unsigned short h; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(x0)); '
        "return symnet_float((unsigned int)h << 16);",
    ),
}


@functools.cache
def function_text(name: str, *dtypes: str) -> str:
    """The text of a scalar function for arguments of these dtypes."""
    text = c_source(name, *dtypes)
    if (name, *dtypes) not in _INSTRUCTIONS:
        return text
    architecture, body = _INSTRUCTIONS[name, *dtypes]
    head = text.partition("\n{")[0]
    return (
        f"#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= {architecture}0\n"
        f"{head}\n{{\n    {body}\n}}\n#else\n{text}#endif\n"
    )
