"""The companion of cirgen: does training on a corpus help, by how much, and are we sure?

`protocols` scores rankings under the rules of FashionIQ, CIRR, CIRCO and GeneCIS; `models` are retrieval models behind
one small interface; `training` fine-tunes them in two stages (arXiv 2404.11317); `verdict` compares corpora.
"""
