"""`python -m artifactstore`."""

from artifactstore.cli import main

if __name__ == "__main__":
    main()
