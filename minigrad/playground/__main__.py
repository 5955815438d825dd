"""`python -m minigrad.playground` opens the playground in a browser."""

from minigrad.playground.server import main

raise SystemExit(main())
