"""`python -m rvm` is the same program as `rvm` and `rvmatte`."""

from rvm.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
