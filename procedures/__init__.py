"""What a deploy carries out: what is known of its master, what forbids it, what is said of it.

Between the facts, which only read, and the operations, which change: a procedure asks each fact
once, judges with `recert`, and is what the operations of its deploy share.
"""
