"""The zoo: mail hosts and domains of the test world, each right or wrong in its own way, and what is said of them.

`zoo.animals` are the animals and the verdict expected, `zoo.grounds` serves them, `zoo.oracles` asks tools that nobody
here wrote, `zoo.ours` asks danelaw, and `zoo.table` puts it side by side as docs/agreement.md.
"""
