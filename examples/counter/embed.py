#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: embed.py FILE NAME HEADER SHEET SELECTOR...: writes a header that has the page as an array of bytes.
The rules of the style sheet whose selectors begin so are put at the beginning of the page's own."""
import re
import sys


def rules(sheet, selectors):
    """The sheet's rules that are wanted, also inside of @media."""
    found = re.findall(r"@[^{}]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}|[^{}@]+\{[^{}]*\}", sheet)
    kept = []
    for selector in selectors:
        some = [rule.strip() for rule in found if re.sub(r"^@[^{]*\{", "", rule.strip()).strip().startswith(selector)]
        if not some:
            sys.exit(f"embed.py: no rule of the style sheet begins with {selector}")
        kept += some
    return "\n".join(kept)


page, name, header, style, *wanted = sys.argv[1:]
with open(page, encoding="utf-8") as file:
    text = file.read()
with open(style, encoding="utf-8") as file:
    text = text.replace("<style>\n", "<style>\n" + rules(file.read(), wanted) + "\n", 1)
data = text.encode()
lines = [",".join(str(byte) for byte in data[i:i + 20]) for i in range(0, len(data), 20)]
with open(header, "w", encoding="ascii") as out:
    out.write(f"static const unsigned char {name}[{len(data)}] = {{\n")
    out.write(",\n".join(lines))
    out.write("\n};\n")
