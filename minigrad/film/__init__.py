"""A training run as a film: a page that plays what the network was after each update."""

from minigrad.film.recorder import Film, Films, film

__all__ = ["Film", "Films", "film"]
