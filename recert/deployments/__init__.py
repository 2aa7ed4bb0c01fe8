"""Shapes of Puppet sites as values: what a document says of one shape, in tables.

Tables name what there is and never when: conditions are code, and live with the judgement.
"""
