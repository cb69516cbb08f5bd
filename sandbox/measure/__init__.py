"""The instruments as pure functions of tensors and arrays, usable on any system; they import nothing of the house.

reading: one call for any step · distance, behaviour, regret: how far apart objectives are · revealed: what behaviour
says of its objective · string: slack and wiggle · coupling, modes, graph, cut, integrability, partition, closed_loop:
whether outer and inner are two things · product: many probes in bounded memory · convergence, trend, interval: over
steps and seeds · oracle: all is known.
"""
