"""`python -m minigrad` runs the tutorial."""

from minigrad.lessons.tutorial import main

raise SystemExit(main())
