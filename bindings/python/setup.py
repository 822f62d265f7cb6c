# SPDX-License-Identifier: MIT
"""What pyproject.toml cannot say: the part in C, and that its wheel fits every Python from 3.9 on."""
from setuptools import setup

setup(
    cffi_modules=["pawl_build.py:ffi"],
    options={"bdist_wheel": {"py_limited_api": "cp39"}},
)
