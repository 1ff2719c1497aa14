"""Finds few steps that still fail, by leaving out more and more of them. Pure."""


def shrink(steps, fails):
    """The steps without those that are not needed for `fails(steps)` to be true. Pieces are left out, first
    large ones, then smaller ones, as long as it helps."""
    steps = list(steps)
    size = max(len(steps) // 2, 1)
    while True:
        begin, shorter = 0, False
        while begin < len(steps):
            rest = steps[:begin] + steps[begin + size:]
            if rest and fails(rest):
                steps, shorter = rest, True
            else:
                begin += size
        if size == 1 and not shorter:
            return steps
        size = max(size // 2, 1)
