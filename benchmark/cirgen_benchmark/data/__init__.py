"""Where triplets and images come from: cirgen corpora, FashionIQ, CIRR."""
