"""Does something grow? Least-squares slopes of samples over time, and how sure they are.

Samples that follow each other are alike, and would make a slope look surer than it is. So they are
averaged over BINS equal parts of the time first, and the error is taken from those averages.
"""

import math

BINS = 20
SURE = 2.878  # Student's t for 18 degrees of freedom, 99 % two-sided


class Series:
    """Samples of one quantity, in the order of time (seconds)."""

    def __init__(self):
        self.samples = []

    def add(self, at, value):
        self.samples.append((at, value))

    def after(self, at):
        cut = Series()
        cut.samples = [s for s in self.samples if s[0] >= at]
        return cut

    def binned(self):
        first, last = self.samples[0][0], self.samples[-1][0]
        width = (last - first) / BINS or 1
        bins = {}
        for at, value in self.samples:
            bins.setdefault(min(int((at - first) / width), BINS - 1), []).append((at, value))
        return [tuple(sum(x) / len(group) for x in zip(*group)) for group in bins.values()]

    def slope(self):
        """(slope for an hour, its error at 99 %); None where there is too little to say."""
        if len(self.samples) < BINS:
            return None
        points = self.binned()
        count = len(points)
        if count < BINS * 3 // 4:
            return None
        mean_at, mean = (sum(x) / count for x in zip(*points))
        spread = sum((at - mean_at) ** 2 for at, _ in points)
        slope = sum((at - mean_at) * (value - mean) for at, value in points) / spread
        rest = sum((value - mean - slope * (at - mean_at)) ** 2 for at, value in points)
        error = math.sqrt(rest / (count - 2) / spread) * SURE
        return slope * 3600, error * 3600

    def span(self):
        return self.samples[-1][0] - self.samples[0][0]

    def mean(self, part):
        """Of the first (part 0) or last (part -1) of the bins."""
        return self.binned()[part][1]


LONG = 2400  # seconds of samples, from which on an hour's growth can be told from an accident


class Limit:
    """What a quantity may grow in an hour; and in all of a shorter run, in which much is touched
    for the first time."""

    def __init__(self, hourly, short):
        self.hourly, self.short = hourly, short

    def of(self, series):
        return self.hourly if series.span() >= LONG else self.short * 3600 / max(series.span(), 1)

    def exceeded(self, series):
        """True when it grows faster than it may, and that is no accident of the samples."""
        slope = series.slope()
        return slope is not None and slope[0] > self.of(series) and slope[0] > slope[1]


def self_check():
    import random
    noise = random.Random(1)
    limit = Limit(1024, 300)
    flat, leaks, steps = Series(), Series(), Series()
    for second in range(0, 3600, 5):
        flat.add(second, 5000 + noise.gauss(0, 300))
        leaks.add(second, 5000 + second * 1536 / 3600 + noise.gauss(0, 300))
        steps.add(second, 5000 + 400 * (second > 1800))
    assert not limit.exceeded(flat), flat.slope()
    assert limit.exceeded(leaks), leaks.slope()
    assert abs(leaks.slope()[0] - 1536) < leaks.slope()[1], leaks.slope()
    assert not limit.exceeded(steps), steps.slope()
    assert limit.exceeded(leaks.after(1800)), leaks.after(1800).slope()
    assert not limit.exceeded(flat.after(1800)), flat.after(1800).slope()
    assert Series().slope() is None and not limit.exceeded(Series())


if __name__ == "__main__":
    self_check()
