"""`python -m amllog`: the command line."""

from amllog.present.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
