# Reads a file as one does that ends lines wherever Unicode lets a line end. Prints as JSON: how many lines, what those
# that are JSON hold, and every character that no line should hold (controls, separators, turned writing).
import json
import re
import sys

text = open(sys.argv[1], "rb").read().decode("utf-8")
lines = text.splitlines()
objects = []
for line in lines:
    try:
        objects.append(json.loads(line))
    except ValueError:
        objects.append(None)
wrong = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
odd = sorted({f"U+{ord(c):04X}" for line in lines for c in wrong.findall(line)})
print(json.dumps({"lines": len(lines), "objects": objects, "odd": odd}))
