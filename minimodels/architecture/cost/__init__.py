"""What a model costs: by formula from its config alone, and counted while it runs.

Read parts (what a model is made of), flops, kept and activations, memory, devices; then counted,
which knows no formula, and compare, which puts the two side by side.
"""
