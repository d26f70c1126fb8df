"""Writes graphs/flash-fft-conv.yaml: a long causal convolution by Monarch-decomposed FFTs, in real arithmetic.

The algorithm is FlashFFTConv's (arXiv 2311.05908): 2N real points are packed into N complex ones (even and odd
samples), a three-step Monarch FFT turns them into a spectrum by small DFT matrices, twiddles and transposes, the
spectra of the real signal are separated and multiplied with those of the filter, and everything is undone. Zero padding
to 2N makes it causal. A complex product takes four real ones, a difference and a sum, each an operator of its own.

    python -m rdusim.graph.fft_conv 128 128 64 > graphs/flash-fft-conv.yaml
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

Sizes = tuple[int, int, int]
Pair = tuple[str, str]


class _Lines:
    """The tensors and operators of the file, in order."""

    def __init__(self) -> None:
        self.tensors: list[str] = []
        self.operators: list[str] = []

    def table(self, name: str, *shape: int, role: str = "constant", dtype: str = "") -> None:
        kind = f", dtype: {dtype}" if dtype else ""
        self.tensors.append(f"  {name}: {{role: {role}, shape: {list(shape)}{kind}}}")

    def op(self, name: str, text: str, extra: str = "") -> str:
        line = f"{text} -> {name}"
        result = name.partition("[")[0]
        self.operators.append(f"  {result}_op: {line}" if not extra else f"  {result}_op: {{do: '{line}', {extra}}}")
        return result

    def both(self, name: str, x: Pair, text: str) -> Pair:
        """The same operator on the real and the imaginary part."""
        first, second = (self.op(name.replace("[", f"_{part}[", 1), text.format(x[i])) for i, part in enumerate("ri"))
        return first, second

    def product(self, name: str, kind: str, left: Pair, left_dims: str, x: Pair, dims: str, out: str) -> Pair:
        """Complex product: (a + ib)(c + id) = (ac - bd) + i(ad + bc)."""
        (a, b), (c, d) = left, x
        parts = {"ac": (a, c), "bd": (b, d), "ad": (a, d), "bc": (b, c)}
        for part, (one, other) in parts.items():
            self.op(f"{name}_{part}[{out}]", f"{kind} {one}[{left_dims}], {other}[{dims}]")
        real = self.op(f"{name}_r[{out}]", f"sub {name}_ac[{out}], {name}_bd[{out}]")
        return real, self.op(f"{name}_i[{out}]", f"add {name}_ad[{out}], {name}_bc[{out}]")

    def combine(self, name: str, kinds: Pair, x: Pair, y: Pair) -> Pair:
        """Real and imaginary parts of x and y, added or subtracted."""
        first, second = (
            self.op(f"{name}_{part}[x,y,z]", f"{kinds[i]} {x[i]}[x,y,z], {y[i]}[x,y,z]") for i, part in enumerate("ri")
        )
        return first, second

    def complex_table(self, name: str, *shape: int, role: str = "constant") -> Pair:
        self.table(f"{name}_r", *shape, role=role)
        self.table(f"{name}_i", *shape, role=role)
        return f"{name}_r", f"{name}_i"


def flash_fft_conv(sizes: Sizes) -> str:
    """The YAML graph of a causal convolution of n1 n2 n3 real points; n1 must be even."""
    a, b, c = sizes
    lines = _Lines()
    lines.table("u", a // 2, b, c, 2, role="input")
    lines.op("padded[x,y,z,t]", "pad u[h,y,z,t]", f"dims: {{x: {a}}}, with: {{axis: x}}")
    packed = (
        lines.op("even[x,y,z]", "slice padded[x,y,z,t]", "with: {axis: t, start: 0}"),
        lines.op("odd[x,y,z]", "slice padded[x,y,z,t]", "with: {axis: t, start: 1}"),
    )
    spectrum = _transform(lines, "fft", packed, (a, b, c))
    result = _transform(lines, "ifft", _filter(lines, spectrum, (c, b, a)), (c, b, a))
    lines.op("pairs[x,y,z,t]", f"stack {result[0]}[x,y,z], {result[1]}[x,y,z]", "dims: {t: 2}, with: {axis: t}")
    lines.op("y[h,y,z,t]", "slice pairs[x,y,z,t]", f"dims: {{h: {a // 2}}}, with: {{axis: x, start: 0}}")
    points = f"{prod(sizes):,}".replace(",", " ")
    head = [
        "schema: rdusim-graph/1",
        "name: flash-fft-conv",
        f"description: Causal convolution of {points} points by three-step Monarch FFTs.",
        f"# Written by: python -m rdusim.graph.fft_conv {a} {b} {c}",
    ]
    return "\n".join([*head, "", "tensors:", *lines.tensors, "", "operators:", *lines.operators, ""])


def _transform(lines: _Lines, name: str, x: Pair, sizes: Sizes) -> Pair:
    """A DFT of x[a,b,c]: three matrices with twiddles and matrix transposes between, result in natural order [c,b,a].

    With point n = (n1 b + n2) c + n3 and frequency k = p + a q + a b w: contract n1, n2, n3 in turn.
    """
    a, b, c = sizes
    first, second, third = (lines.complex_table(f"{name}_dft{i + 1}", size, size) for i, size in enumerate(sizes))
    outer = lines.complex_table(f"{name}_twiddle1", a, b, c)
    inner = lines.complex_table(f"{name}_twiddle2", b, c)
    x = lines.product(f"{name}_step1", "matmul", first, "p,a", x, "a,b,c", "p,b,c")
    x = lines.product(f"{name}_turn1", "mul", outer, "p,b,c", x, "p,b,c", "p,b,c")
    x = lines.both(f"{name}_transpose1[b,c,p]", x, "transpose {}[p,b,c]")
    x = lines.product(f"{name}_step2", "matmul", second, "q,b", x, "b,c,p", "q,c,p")
    x = lines.product(f"{name}_turn2", "mul", inner, "q,c", x, "q,c,p", "q,c,p")
    x = lines.both(f"{name}_transpose2[c,p,q]", x, "transpose {}[q,c,p]")
    x = lines.product(f"{name}_step3", "matmul", third, "w,c", x, "c,p,q", "w,p,q")
    return lines.both(f"{name}_natural[w,q,p]", x, "transpose {}[w,p,q]")


def _filter(lines: _Lines, z: Pair, shape: Sizes) -> Pair:
    """Spectrum of packed samples -> spectra of the real signal (k < N and k >= N), times the filter's, packed again.

    With Z' the spectrum at N - k: E = Z + conj Z', O = (Z - conj Z') / i, low = E + W O, high = E - W O,
    W = exp(-i pi k / N). Factors of 1/2 and 1/N are in the filter.
    """
    lines.table("reverse", *shape, dtype="int32")
    turn, turn_back = lines.complex_table("unpack", *shape), lines.complex_table("pack", *shape)
    low_filter, high_filter = (lines.complex_table(f"{part}_filter", *shape, role="weight") for part in ("low", "high"))
    mirror = lines.both("mirrored[x,y,z]", z, "take {}[i,j,k], reverse[x,y,z]")
    even = lines.combine("even_part", ("add", "sub"), z, mirror)
    odd = (
        lines.op("odd_part_r[x,y,z]", f"add {z[1]}[x,y,z], {mirror[1]}[x,y,z]"),
        lines.op("odd_part_i[x,y,z]", f"sub {mirror[0]}[x,y,z], {z[0]}[x,y,z]"),
    )
    full = "x,y,z"
    odd = lines.product("odd_turned", "mul", turn, full, odd, full, full)
    low = lines.combine("low", ("add", "add"), even, odd)
    high = lines.combine("high", ("sub", "sub"), even, odd)
    low = lines.product("low_filtered", "mul", low_filter, full, low, full, full)
    high = lines.product("high_filtered", "mul", high_filter, full, high, full, full)
    even = lines.combine("even_result", ("add", "add"), low, high)
    odd = lines.combine("odd_result", ("sub", "sub"), low, high)
    odd = lines.product("odd_unturned", "mul", turn_back, full, odd, full, full)
    # even + i odd
    return lines.combine("packed_result", ("sub", "add"), even, (odd[1], odd[0]))


def tables(sizes: Sizes, kernel: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Values of the graph's tables for a filter of at most n1 n2 n3 points."""
    import numpy as np

    a, b, c = sizes
    n = a * b * c
    frequency = np.arange(n).reshape(c, b, a)
    turn = np.exp(-1j * np.pi * frequency / n)
    spectrum = np.fft.fft(kernel, 2 * n) / (4 * n)
    pairs = {"unpack": turn, "pack": turn.conj()}
    pairs["low_filter"], pairs["high_filter"] = spectrum[:n].reshape(c, b, a), spectrum[n:].reshape(c, b, a)
    pairs |= _transform_tables("fft", sizes, -1)
    pairs |= _transform_tables("ifft", (c, b, a), 1)
    found = {f"{name}_r": pair.real for name, pair in pairs.items()}
    found |= {f"{name}_i": pair.imag for name, pair in pairs.items()}
    return found | {"reverse": (-frequency) % n}


def _transform_tables(name: str, sizes: Sizes, sign: int) -> dict[str, NDArray[Any]]:
    import numpy as np

    a, b, c = sizes
    found = {
        f"{name}_dft{i + 1}": np.exp(sign * 2j * np.pi * np.outer(np.arange(size), np.arange(size)) / size)
        for i, size in enumerate(sizes)
    }
    outer = np.outer(np.arange(a), np.arange(b * c)).reshape(a, b, c)
    found[f"{name}_twiddle1"] = np.exp(sign * 2j * np.pi * outer / (a * b * c))
    found[f"{name}_twiddle2"] = np.exp(sign * 2j * np.pi * np.outer(np.arange(b), np.arange(c)) / (b * c))
    return found


if __name__ == "__main__":
    import sys

    n1, n2, n3 = (int(size) for size in sys.argv[1:])
    sys.stdout.write(flash_fft_conv((n1, n2, n3)))
