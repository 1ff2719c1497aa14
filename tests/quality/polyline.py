"""Google's encoded polylines, read independently of the extension that writes them."""

PRECISION = 5


def decode(text):
    """The points of a line as [lon, lat] in degrees."""
    numbers, value, shift = [], 0, 0
    for letter in text:
        bits = ord(letter) - 63
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits < 0x20:
            numbers.append(~(value >> 1) if value & 1 else value >> 1)
            value = shift = 0
    line, lon, lat = [], 0, 0
    for north, east in zip(numbers[::2], numbers[1::2]):
        lat, lon = lat + north, lon + east
        line.append([lon / 10**PRECISION, lat / 10**PRECISION])
    return line
