"""The vocabulary that every service shares: events, topics, identities, outcomes, the wire format.

Pure: values in, values out. Nothing here opens a file, a socket or reads a clock.
"""
