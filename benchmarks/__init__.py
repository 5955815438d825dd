"""minigrad measured against its peers, on the same mathematics and in one run."""
