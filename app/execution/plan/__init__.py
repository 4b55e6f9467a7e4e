"""Plans: a document compiled once, executed many times."""
