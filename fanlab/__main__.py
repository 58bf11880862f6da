"""`python -m fanlab` is the program `fanlab`."""

from .cli import main

if __name__ == "__main__":
    main()
