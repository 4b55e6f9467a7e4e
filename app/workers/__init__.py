"""Several processes that serve one address as one gateway.

supervisor   starts them, starts those that end anew, and replaces them one by one
slot         a worker's end of it: it is ready, it is left alone, it tells its metrics
shares       what of a source's limits one worker has
"""
