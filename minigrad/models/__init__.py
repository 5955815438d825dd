"""Models: what users build, with graphs, training and tools."""
