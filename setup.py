"""Packages and dependencies. Build system and tool settings are in pyproject.toml.

kernels/ and benchmarks/ lie at the top level but install as symnet.kernels and symnet.benchmarks,
because the bare names belong to other projects (docs/design/0001-layout.md).
"""

import os

from setuptools import setup

ROOT = os.path.dirname(os.path.abspath(__file__))

COMMAND_LINE = [
    "rich>=13",  # progress bars
    "safetensors>=0.4",  # parameter files that execute nothing
    "matplotlib>=3.8",  # the pictures of `symnet mnist`
    "pillow>=10",  # reads the pictures of `symnet predict`
]
TESTS = [
    *COMMAND_LINE,  # the tests run `symnet mnist`
    "pytest>=8",  # test runner
    "pytest-xdist>=3.5",  # both cores
    "hypothesis>=6.100",  # property tests
    "scikit-learn>=1.6",  # its own checks of estimators
    "ml_dtypes>=0.5",  # bfloat16
    "pandas>=2.2",  # frames and series as data
    "scipy>=1.11",  # reference for special functions
    "mpmath>=1.3",  # exact values for ULP bounds
    "ruff>=0.6",  # lint and format
    "mypy>=1.10",  # types of the public API
]


def packages_below(folder: str, name: str) -> list[str]:
    """Every package below `folder` (a folder with an __init__.py), as `name.sub.package`."""
    found = []
    for path, folders, files in os.walk(os.path.join(ROOT, folder)):
        folders[:] = [f for f in folders if f != "__pycache__"]
        if "__init__.py" in files:
            inner = os.path.relpath(path, os.path.join(ROOT, folder))
            found.append(name if inner == "." else f"{name}.{inner.replace(os.sep, '.')}")
    return found


setup(
    packages=sorted(
        set(packages_below("symnet", "symnet"))
        | set(packages_below("kernels", "symnet.kernels"))
        | set(packages_below("benchmarks", "symnet.benchmarks"))
    ),
    package_dir={
        "symnet": "symnet",
        "symnet.kernels": "kernels",
        "symnet.benchmarks": "benchmarks",
    },
    package_data={"symnet": ["py.typed"], "symnet.kernels.gemm": ["gpu.cu"]},
    install_requires=[
        "numpy>=2.0",  # arrays, dtypes, the reference semantics
        "numba>=0.61",  # generated kernels to native code; brings llvmlite, which loads stored ones
        "networkx>=3.2",  # graph export and analyses off the hot path
        "scipy-openblas32>=0.3.28",  # a private BLAS for gemm, single-threaded inside our own pool
    ],
    extras_require={
        "cli": COMMAND_LINE,
        "gpu": [
            "cupy-cuda13x>=14",  # memory, streams and graphs of CUDA 13: NVIDIA's driver 580 on
            "nvidia-cuda-nvrtc>=13",  # compiles the kernels
            "nvidia-cublas>=13",  # matrix products
            "nvidia-cuda-runtime>=13",  # headers for kernels of CuPy's: symnet has its own
        ],
        "gpu12": [
            "cupy-cuda12x>=14",  # the same for CUDA 12: driver 525 on
            "nvidia-cuda-nvrtc-cu12>=12.1",
            "nvidia-cublas-cu12>=12.1",
            "nvidia-cuda-runtime-cu12>=12.1",
        ],
        "viz": ["matplotlib>=3.8"],  # symnet.nn.plots; networkx draws `symnet.to_networkx` with it
        "half": ["ml_dtypes>=0.5"],  # bfloat16, which NumPy does not have
        "sklearn": ["scikit-learn>=1.6"],  # symnet.sklearn: estimators for its pipelines
        "test": [
            *TESTS,
            "nvidia-cuda-nvrtc>=13",  # compiles the CUDA texts; no GPU is needed for that
            "cupy-cuda13x>=14",  # what the tests put in its place is compared with it, without one
        ],
        "test-gpu": TESTS,  # on a GPU, beside "gpu" or "gpu12": what these bring is not chosen here
        "benchmarks": [
            "torch>=2.4",  # peer; the CPU build is enough, docs/benchmarks.md says how to get it
            "jax>=0.4.30",  # peer
            "pytensor>=2.25",  # peer
            "keras>=3.5",  # peer, on JAX
            "scikit-learn>=1.5",  # peer
            "matplotlib>=3.8",  # pictures of the report
        ],
        "docs": [
            "sphinx>=8",  # the site; docs/conf.py
            "myst-parser>=4",  # the pages are Markdown
            "furo>=2024.8.6",  # how they look
        ],
    },
    entry_points={"console_scripts": ["symnet = symnet.cli:main"]},
)
