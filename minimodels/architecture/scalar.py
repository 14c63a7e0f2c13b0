"""Reverse-mode automatic differentiation for plain numbers: what `loss.backward()` does.

Linnainmaa (BIT 16, 1976); PyTorch's version: arXiv 1912.01703. A Scalar remembers the numbers it
was computed from (its parents), and for each of them one slope: how much it moves when that parent
moves by a little. The gradient of a number is the sum over all its children of slope times the
child's gradient, so children must be done before their parents.
"""

from __future__ import annotations

import math
from itertools import count

from minimodels.errors import UserError

births = count()


class Scalar:
    """A number with a history. Plain numbers may stand in its place: they get no gradient.

    value: the number. gradient: how much the root of the last `backward` moves when this moves by
    a little. parents: ((Scalar, slope), …). operation: how it was made, "" for a leaf.
    Raises UserError where a value or a slope does not exist.
    """

    __slots__ = ("value", "gradient", "parents", "operation", "born")

    def __init__(self, value: float, parents: tuple = (), operation: str = ""):
        self.value, self.gradient = float(value), 0.0
        self.parents, self.operation = parents, operation
        self.born = next(births)

    def __add__(self, other):
        if isinstance(other, Scalar):
            return Scalar(self.value + other.value, ((self, 1.0), (other, 1.0)), "+")
        return Scalar(self.value + other, ((self, 1.0),), f"+ {other:g}")

    def __mul__(self, other):
        if isinstance(other, Scalar):
            parents = ((self, other.value), (other, self.value))
            return Scalar(self.value * other.value, parents, "×")
        return Scalar(self.value * other, ((self, float(other)),), f"× {other:g}")

    def __pow__(self, power: float):
        try:
            value, slope = self.value**power, power * self.value ** (power - 1)
        except ZeroDivisionError:
            value = slope = 1j  # no number either
        if isinstance(slope, complex) or isinstance(value, complex):
            raise UserError(f"{self.value:g} to the power {power:g} has no slope: keep it above 0.")
        return Scalar(value, ((self, slope),), f"^{power:g}")

    def exp(self):
        try:
            value = math.exp(self.value)
        except OverflowError:
            raise UserError(
                f"exp({self.value:g}) is beyond float64: subtract the largest first."
            ) from None
        return Scalar(value, ((self, value),), "exp")

    def log(self):
        if self.value <= 0:
            raise UserError(f"log({self.value:g}) does not exist: give it a number above 0.")
        return Scalar(math.log(self.value), ((self, 1 / self.value),), "log")

    def tanh(self):
        value = math.tanh(self.value)
        return Scalar(value, ((self, 1 - value * value),), "tanh")

    def relu(self):
        on = float(self.value > 0)  # the slope at 0 does not exist; 0 is taken, as in PyTorch
        return Scalar(on * self.value, ((self, on),), "relu")

    def backward(self):
        """Fill `gradient` in everything that this number was computed from.

        Leaves add to what they hold, as in PyTorch: set their gradients to 0 before a new step.
        """
        nodes = history(self)
        for node in nodes:
            if node.parents:
                node.gradient = 0.0
        self.gradient += 1.0
        for node in reversed(nodes):  # a child is younger than its parents
            for parent, slope in node.parents:
                parent.gradient += slope * node.gradient

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    def __truediv__(self, other):
        return self * other**-1

    def __rtruediv__(self, other):
        return self**-1 * other

    __radd__, __rmul__ = __add__, __mul__

    def __repr__(self):
        return f"Scalar({self.value:g}, gradient {self.gradient:g})"


def history(root: Scalar) -> list[Scalar]:
    """Everything that `root` was computed from, and itself at the end: the oldest first.

    Birth is a topological order: nothing is born before its parents.
    """
    found, waiting = {root}, [root]
    while waiting:
        for parent, _ in waiting.pop().parents:
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return sorted(found, key=lambda node: node.born)
