#!/usr/bin/env python3
"""Turns JSON lines of measurements into Markdown: one table for each value of "bench", a column for each field."""
import json
import sys


def shown(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main():
    tables = {}
    for line in sys.stdin:
        if line.startswith("{"):
            row = json.loads(line)
            tables.setdefault(row.pop("bench"), []).append(row)
    for name, rows in tables.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        print(f"### {name}\n")
        print("| " + " | ".join(columns) + " |")
        print("|" + "---|" * len(columns))
        for row in rows:
            print("| " + " | ".join(shown(row.get(column, "")) for column in columns) + " |")
        print()


main()
