"""`python -m minigrad` runs the tutorial."""

from minigrad.tutorial import main

raise SystemExit(main())
