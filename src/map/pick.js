// What lies under a pointer, and which devices are near each other.

// The device whose vehicle or line that is; null for none.
function deviceAt(fleet, where) {
  const places = [];
  for (const device of fleet.devices.values()) if (device.place) places.push({ ...device.place, name: device.name });
  const found = nearest(places, where);
  if (found) return found.name;
  for (const device of fleet.devices.values()) {
    if (device.paths.some((path) => path._xy && nearOnLine(path, { ...where, reach: where.reach / 2 }))) return device.name;
  }
  return null;
}

// The path that passes there, and when it did.
function momentAt(day, hidden, where) {
  let best = null;
  for (const path of day.lines) {
    const near = !hidden.has(path.kind) && nearOnLine(path, where);
    if (near && (!best || near.distance < best.distance)) best = { ...near, path };
  }
  return best && { path: best.path, moment: best.path.start + best.share * (best.path.end - best.path.start) };
}

// The nearest of some places within reach; each has x and y.
function nearest(items, { x, y, reach }) {
  let best = null, least = reach;
  for (const item of items) {
    const distance = Math.hypot(item.x - x, item.y - y);
    if (distance <= least) { best = item; least = distance; }
  }
  return best;
}

// Where a line passes within reach: how far along it, as a share of its length. Null where it does not.
function nearOnLine(path, { x, y, reach }) {
  const { box, xy } = path;
  if (x < box.left - reach || x > box.right + reach || y < box.top - reach || y > box.bottom + reach) return null;
  let least = reach, found = null;
  for (let n = 2; n < xy.length; n += 2) {
    const dx = xy[n] - xy[n - 2], dy = xy[n + 1] - xy[n - 1];
    const length = dx * dx + dy * dy;
    const part = length ? Math.min(1, Math.max(0, ((x - xy[n - 2]) * dx + (y - xy[n - 1]) * dy) / length)) : 0;
    const distance = Math.hypot(xy[n - 2] + part * dx - x, xy[n - 1] + part * dy - y);
    if (distance <= least) {
      least = distance;
      const { along } = path;
      const metres = along[n / 2 - 1] + part * (along[n / 2] - along[n / 2 - 1]);
      found = { distance, share: path.metres ? metres / path.metres : 0 };
    }
  }
  return found;
}

// All devices but the one in twenty that is farthest from the middle.
function withoutStrays(devices) {
  const middle = (key) => devices.map(({ place }) => place[key]).sort((one, other) => one - other)[devices.length >> 1];
  const x = middle('x'), y = middle('y');
  const near = devices.map((device) => ({ device, far: Math.hypot(device.place.x - x, device.place.y - y) }))
    .sort((one, other) => one.far - other.far);
  return near.slice(0, near.length - Math.round(near.length / 20)).map(({ device }) => device);
}
