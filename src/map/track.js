// What the server says of devices, as objects that can be drawn.
//
// Places are kept in the world of Web Mercator: x and y from 0 to 1, south is down. A line is decoded when it is
// first looked at, so that a large fleet is decoded in the slices of time in which it is drawn.
//
// That world is round: x goes on beyond 0 and 1 where what is shown crosses 180 degrees. `home` is the first place that
// was seen, and everything lies in the turn of the world that brings it nearest to it.

const KINDS = { good: 'matched', doubtful: 'doubtful', raw: 'raw', tail: 'tail' };
const METRES_AROUND = 40_075_016.7; // the equator

let home = null;
const nearTo = (x, other) => (other === null ? x : x - Math.round(x - other));
const worldX = (longitude) => nearTo(longitude / 360 + 0.5, (home ??= longitude / 360 + 0.5));
const worldY = (latitude) => {
  const sine = Math.min(0.9999, Math.max(-0.9999, Math.sin(latitude * Math.PI / 180)));
  return 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI);
};
const latitudeOf = (y) => Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180 / Math.PI;
const longitudeOf = (x) => (x - 0.5) * 360;

// Google's encoded polyline, precision 5, as [x, y, x, y, ...].
function decode(text) {
  const places = new Float64Array(text.length); // a vertex takes two letters at least
  let at = 0, count = 0, latitude = 0, longitude = 0;
  const number = () => {
    let bits = 0, shift = 0, letter;
    do {
      letter = text.charCodeAt(at++) - 63;
      bits |= (letter & 31) << shift;
      shift += 5;
    } while (letter >= 32);
    return bits & 1 ? ~(bits >> 1) : bits >> 1;
  };
  while (at < text.length) {
    latitude += number();
    longitude += number();
    const x = worldX(longitude / 1e5);
    places[count] = count ? nearTo(x, places[count - 2]) : x;
    count++;
    places[count++] = worldY(latitude / 1e5);
  }
  return places.slice(0, count);
}

class Path {
  constructor(raw) {
    this.start = Date.parse(raw.start_time);
    this.end = Date.parse(raw.end_time);
    this.text = raw.encoded_polyline;
    this.kind = raw.reason === 'NoSegment' ? 'unmapped' : KINDS[raw.grade] ?? 'raw';
  }

  get xy() { return (this._xy ??= decode(this.text)); }

  get box() { return (this._box ??= boxOf(this.xy)); }

  // Metres from the beginning to each vertex.
  get along() {
    if (!this._along) {
      const { xy } = this;
      const along = this._along = new Float64Array(xy.length / 2);
      for (let n = 1; n < along.length; n++) {
        const step = Math.hypot(xy[2 * n] - xy[2 * n - 2], xy[2 * n + 1] - xy[2 * n - 1]);
        along[n] = along[n - 1] + step * METRES_AROUND * Math.cos(latitudeOf(xy[2 * n + 1]) * Math.PI / 180);
      }
    }
    return this._along;
  }

  get metres() { return this.along.at(-1) ?? 0; }

  // Where a moment lies on the line: vertices have no time of their own, the path's is shared out by distance.
  at(moment) {
    const { along, xy } = this;
    const share = this.end > this.start ? (moment - this.start) / (this.end - this.start) : 1;
    const metres = Math.min(1, Math.max(0, share)) * this.metres;
    let low = 0, high = along.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (along[middle] <= metres) low = middle; else high = middle;
    }
    const step = along[high] - along[low];
    const part = step > 0 ? (metres - along[low]) / step : 0;
    const dx = xy[2 * high] - xy[2 * low], dy = xy[2 * high + 1] - xy[2 * low + 1];
    return { x: xy[2 * low] + part * dx, y: xy[2 * low + 1] + part * dy, heading: heading(xy, low), vertex: low + 1 };
  }
}

function boxOf(xy) {
  const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  for (let n = 0; n < xy.length; n += 2) stretch(box, xy[n], xy[n + 1]);
  return box;
}

function stretch(box, x, y) {
  if (x < box.left) box.left = x;
  if (x > box.right) box.right = x;
  if (y < box.top) box.top = y;
  if (y > box.bottom) box.bottom = y;
}

// The direction of a step, or of the nearest before it that leads anywhere: radians clockwise from east.
function heading(xy, vertex) {
  for (let n = Math.min(vertex, xy.length / 2 - 2); n >= 0; n--) {
    const dx = xy[2 * n + 2] - xy[2 * n], dy = xy[2 * n + 3] - xy[2 * n + 1];
    if (dx || dy) return Math.atan2(dy, dx);
  }
  return null;
}

// Puts what windows hold now in the place of what they held; returns whether that changed anything.
function replaceWindow(paths, start, end, fresh) {
  const held = paths.filter((path) => path.start >= start && path.start < end);
  const same = held.length === fresh.length && held.every((path, n) =>
    path.text === fresh[n].text && path.start === fresh[n].start && path.end === fresh[n].end && path.kind === fresh[n].kind);
  if (same) return paths;
  return [...paths.filter((path) => path.start < start), ...fresh, ...paths.filter((path) => path.start >= end)];
}

class Device {
  constructor(name) {
    this.name = name;
    this.paths = [];
    this.known = null; // what get_device_positions says
  }

  // Where it was last, from its paths or from what else is known.
  get place() {
    const last = this.paths.at(-1);
    if (last && !(this.known && this.known.time > last.end)) {
      const { xy } = last;
      if (xy.length) {
        return { x: xy.at(-2), y: xy.at(-1), time: last.end, heading: heading(xy, xy.length / 2 - 2), standing: false };
      }
    }
    return this.known;
  }
}

class Fleet {
  constructor() {
    this.devices = new Map();
    this.loaded = false;
    this.newest = null;
  }

  device(name) {
    let device = this.devices.get(name);
    if (!device) this.devices.set(name, device = new Device(name));
    return device;
  }

  // The whole anew; devices whose place is known from elsewhere stay.
  take(page) {
    for (const device of this.devices.values()) device.paths = [];
    for (const { device, paths } of page.devices) {
      this.device(device).paths = paths.map((path) => new Path(path));
    }
    this.loaded = true;
    this._count();
  }

  takeWindows(windows) {
    let changed = false;
    for (const window of windows) {
      const device = this.device(window.device);
      const paths = replaceWindow(device.paths, Date.parse(window.start_time), Date.parse(window.end_time),
        window.paths.map((path) => new Path(path)));
      changed ||= paths !== device.paths;
      device.paths = paths;
    }
    if (changed) this._count();
    return changed;
  }

  takePositions(rows) {
    for (const device of this.devices.values()) device.known = null;
    for (const row of rows) {
      this.device(row.device_id).known = {
        x: worldX(row.longitude), y: worldY(row.latitude), time: Date.parse(row.time), heading: null, standing: row.standing,
      };
    }
    this._count();
  }

  // What has slid out of the hours that are shown goes.
  forget(before) {
    let gone = false;
    for (const device of this.devices.values()) {
      const kept = device.paths.filter((path) => path.end >= before);
      gone ||= kept.length < device.paths.length;
      device.paths = kept;
    }
    return gone;
  }

  _count() {
    this.newest = null;
    for (const [name, device] of this.devices) {
      if (!device.place) this.devices.delete(name); // it was forgotten, or was never anywhere
    }
    for (const { paths, known } of this.devices.values()) {
      this.newest = Math.max(this.newest ?? -Infinity, paths.at(-1)?.end ?? -Infinity, known?.time ?? -Infinity);
    }
    if (this.newest === -Infinity) this.newest = null;
  }
}
