"""Stores that are shared: what is pushed to a URL, pulled from it, and verified there.

A remote store is laid out as a local one is, so that a folder that was pushed to is a store. What
a remote says is believed of nothing: names lead nowhere but below their folder, and no byte is
given its final name before its digest was found to be the promised one.
"""
