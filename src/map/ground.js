// The ground under the lines: tiles from a server, or streets from a file of GeoJSON, whose features may say their
// `kind` (water, green, building, rail, path, street, major) and `name`.

const GROUND_ORDER = ['green', 'water', 'building', 'rail', 'path', 'street', 'major'];
const GROUND_WIDTHS = { rail: 1, path: 1, street: 5, major: 8 };
const SMALLEST_ZOOM = { building: 14.5, path: 15 };
const STRAIGHT = 0.15; // radians
const AREAS = new Set(['green', 'water', 'building']);

class Ground {
  constructor(geojson) {
    this.parts = geojson.features.flatMap((feature) => {
      const { kind = 'street', name = null } = feature.properties ?? {};
      const { type, coordinates } = feature.geometry;
      const rings = { LineString: [[coordinates]], MultiLineString: coordinates.map?.((line) => [line]),
        Polygon: [coordinates], MultiPolygon: coordinates }[type] ?? [];
      return rings.map((lines) => {
        const flat = lines.map((line) => Float64Array.from(line.flatMap(([lon, lat]) => [worldX(lon), worldY(lat)])));
        return { kind: GROUND_WIDTHS[kind] || AREAS.has(kind) ? kind : 'street', name, lines: flat, box: boxOf(flat[0]) };
      });
    });
    this.parts.sort((one, other) => GROUND_ORDER.indexOf(one.kind) - GROUND_ORDER.indexOf(other.kind));
  }

  get box() {
    const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
    for (const { box: part } of this.parts) {
      stretch(box, part.left, part.top);
      stretch(box, part.right, part.bottom);
    }
    return box;
  }

  * paint(context, view) {
    context.lineCap = 'round';
    context.lineJoin = 'round';
    const size = Math.min(2.2, Math.max(0.22, 2 ** (view.zoom - 16)));
    const shown = this.parts.filter((part) => view.shows(part.box, 10));
    for (const edges of [true, false]) {
      for (let n = 0; n < shown.length; n++) {
        if (n % 60 === 59) yield;
        this._paintPart(context, view, shown[n], size, edges);
      }
    }
    if (view.zoom >= 15.5) yield* this._paintNames(context, view, shown);
  }

  _paintPart(context, view, { kind, lines }, size, edges) {
    const wide = kind === 'street' || kind === 'major';
    if (!edges && !wide) return; // all else is painted once, with the edges
    if (view.zoom < (SMALLEST_ZOOM[kind] ?? 0)) return;
    context.beginPath();
    for (const xy of lines) view.trace(context, xy);
    if (AREAS.has(kind)) {
      context.fillStyle = colours[kind];
      context.fill('evenodd');
      return;
    }
    context.setLineDash({ path: [3, 3], rail: [7, 3] }[kind] ?? []);
    context.lineWidth = wide ? GROUND_WIDTHS[kind] * size + (edges ? 1.6 : 0) : GROUND_WIDTHS[kind];
    context.strokeStyle = edges && wide ? colours['street-edge'] : colours[kind];
    context.stroke();
    context.setLineDash([]);
  }

  // Names along the longest straight piece of their street.
  * _paintNames(context, view, shown) {
    const room = new Room(), seen = new Set();
    context.font = '500 11px system-ui, sans-serif';
    context.textAlign = 'center';
    const named = shown.filter((part) => part.name && (part.kind === 'street' || part.kind === 'major')).reverse();
    for (const { name, lines: [xy] } of named) {
      const width = context.measureText(name).width;
      const piece = longestPiece(view, xy);
      if (!piece || piece.length < width + 6 || seen.has(name)) continue;
      const { x, y } = piece;
      const half = width / 2 * Math.abs(Math.cos(piece.angle)) + 7, tall = width / 2 * Math.abs(Math.sin(piece.angle)) + 7;
      if (!room.take(x - half, y - tall, x + half, y + tall)) continue;
      seen.add(name);
      context.save();
      context.translate(x, y);
      context.rotate(Math.cos(piece.angle) < 0 ? piece.angle + Math.PI : piece.angle);
      context.textBaseline = 'middle';
      context.lineWidth = 3;
      context.strokeStyle = colours.street;
      context.strokeText(name, 0, 0.5);
      context.fillStyle = colours['street-name'];
      context.fillText(name, 0, 0.5);
      context.restore();
      yield;
    }
    context.textAlign = 'start';
  }
}

// The longest piece that is nearly straight: its middle, length and direction on the screen.
function longestPiece(view, xy) {
  let best = null, begin = 0;
  for (let n = 2; n < xy.length; n += 2) {
    if (n - begin > 2 && Math.abs(turn(xy, begin, n)) > STRAIGHT) begin = n - 2;
    const x = view.x(xy[begin]), y = view.y(xy[begin + 1]), dx = view.x(xy[n]) - x, dy = view.y(xy[n + 1]) - y;
    const length = Math.hypot(dx, dy);
    if (!best || length > best.length) best = { length, x: x + dx / 2, y: y + dy / 2, angle: Math.atan2(dy, dx) };
  }
  return best;
}

// By how much the step to a vertex differs in direction from the first step of its piece.
function turn(xy, begin, n) {
  const first = Math.atan2(xy[begin + 3] - xy[begin + 1], xy[begin + 2] - xy[begin]);
  const last = Math.atan2(xy[n + 1] - xy[n - 1], xy[n] - xy[n - 2]);
  return Math.atan2(Math.sin(last - first), Math.cos(last - first));
}

// Attribution comes from whoever writes the address of the page: it is text, in which OpenStreetMap is a link.
function attributionOf(text) {
  const box = document.createElement('span');
  box.textContent = text;
  return box.innerHTML.replace('OpenStreetMap',
    '<a href="https://www.openstreetmap.org/copyright" target="_blank" rel="noopener">OpenStreetMap</a>');
}
