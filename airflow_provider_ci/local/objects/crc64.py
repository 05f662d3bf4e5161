"""CRC-64/ECMA-182 as COS sends it in ``x-cos-hash-crc64ecma``, without a compiled extension.

A loop over bytes reaches about 3 MB/s. Here, a piece of data is one big integer, a polynomial over GF(2), and
is folded: modulo the polynomial P of the CRC, its upper part times x^K equals the upper part times the short
remainder x^K mod P. That product is a few shifts and XORs of the whole part, which CPython does in C.

Bits are reflected: bit 0 of the first byte is the highest coefficient.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

_POLYNOMIAL = 0xC96C5795D7870F42
_BITS = 64
_ALL_ONES = (1 << _BITS) - 1
_SHORTEST_FOLD_BITS = 128
_PIECE_BYTES = 128 * 1024  # fits into the cache of a core
_CANDIDATES = 1000


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_TABLE = _table()


class Crc64:
    """The checksum of the bytes given so far."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        """Add more bytes."""
        view = memoryview(data)
        for start in range(0, len(view), _PIECE_BYTES):
            self._value = _go_on(view[start : start + _PIECE_BYTES], self._value)

    @property
    def text(self) -> str:
        """The checksum in the form of the header, a decimal number."""
        return str(self._value)


class _Fold(NamedTuple):
    """How to fold all coefficients from x^distance on; ``shifts`` are the terms of x^distance mod P."""

    distance: int
    shifts: tuple[int, ...]


def _go_on(data: memoryview, value: int) -> int:
    """The checksum after ``data``, if it was ``value`` before."""
    bits = max(8 * len(data), _BITS)
    rest = int.from_bytes(data, "little")
    if 8 * len(data) < _BITS:
        return _by_table(bytes(data), value ^ _ALL_ONES) ^ _ALL_ONES
    rest ^= value ^ _ALL_ONES
    while bits > _SHORTEST_FOLD_BITS:
        rest, bits = _folded(rest, bits, _fold_for((bits - 1).bit_length() - 1))
    return _by_table(rest.to_bytes(bits // 8, "little"), 0) ^ _ALL_ONES


def _folded(rest: int, bits: int, fold: _Fold) -> tuple[int, int]:
    upper_bits = bits - fold.distance
    upper, lower = rest & ((1 << upper_bits) - 1), rest >> upper_bits
    product = 0
    for shift in fold.shifts:
        product ^= upper << shift
    product_bits = upper_bits + _BITS
    if product_bits >= fold.distance:
        return product ^ (lower << (product_bits - fold.distance)), product_bits
    return (product << (fold.distance - product_bits)) ^ lower, fold.distance


def _by_table(data: bytes, value: int) -> int:
    for byte in data:
        value = _TABLE[(value ^ byte) & 255] ^ (value >> 8)
    return value


@lru_cache
def _fold_for(exponent: int) -> _Fold:
    """The fold for up to 2^(exponent + 1) bits: of the distances up to 2^exponent, one with few terms."""
    longest = 1 << exponent
    candidates = min(_CANDIDATES, longest // 64)
    distance = longest - 8 * candidates
    remainder = _power_of_x(distance)
    best = _Fold(distance, _shifts(remainder))
    for _ in range(candidates):
        distance += 8
        remainder = _TABLE[remainder & 255] ^ (remainder >> 8)  # times x^8
        found = _Fold(distance, _shifts(remainder))
        best = min(best, found, key=lambda fold: len(fold.shifts))
    return best if best.distance >= _SHORTEST_FOLD_BITS else found


def _shifts(remainder: int) -> tuple[int, ...]:
    return tuple(_BITS - power for power in range(_BITS) if remainder >> (_BITS - 1 - power) & 1)


def _power_of_x(exponent: int) -> int:
    """x^exponent mod P."""
    result, square = 1 << 63, 1 << 62
    while exponent:
        if exponent & 1:
            result = _product(result, square)
        square = _product(square, square)
        exponent >>= 1
    return result


def _product(one: int, other: int) -> int:
    result = 0
    for power in range(_BITS):
        if one >> (_BITS - 1 - power) & 1:
            result ^= other
        other = (other >> 1) ^ (_POLYNOMIAL if other & 1 else 0)
    return result
