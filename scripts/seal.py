"""Writes into the table of weights what the files of `incarnate/assets` are now.

python scripts/seal.py, after a script made some anew; prints which these are.
"""

from pathlib import Path

from incarnate import weights


def main() -> None:
    table = Path(weights.__file__)
    text = table.read_text()
    for row in weights.TABLE:
        found = weights.digest(row.name)
        if found != row.sha256:
            text = text.replace(row.sha256, found)
            print(f"{row.name}: {row.file}")
    table.write_text(text)


if __name__ == "__main__":
    main()
