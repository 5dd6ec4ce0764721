"""`python -m amllog`: the command line."""

from amllog.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
