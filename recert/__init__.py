"""The pure part of the suite: certificates, PE's layout and what is stale.

Nothing here knows pyinfra or reaches a host: input is what the facts read, output is a
judgement. Every module can be tested without a connection.
"""
