#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: embed.py FILE NAME HEADER: writes a header that has the file's bytes as an array."""
import sys

source, name, header = sys.argv[1:]
with open(source, "rb") as file:
    data = file.read()
lines = [",".join(str(byte) for byte in data[i:i + 20]) for i in range(0, len(data), 20)]
with open(header, "w", encoding="ascii") as out:
    out.write(f"static const unsigned char {name}[{len(data)}] = {{\n")
    out.write(",\n".join(lines))
    out.write("\n};\n")
