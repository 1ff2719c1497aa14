// What is painted: a fleet's lines and vehicles, a day's lines with their direction, stops and fixes.

const MOVING_FOR = 3 * MINUTE;
const PALE = 0.28;
const ARROW_EVERY = 110; // pixels
const LABELS_UP_TO = 80; // vehicles on the screen

function stateOf(place, now) {
  if (!place) return 'silent';
  if (place.standing) return 'standing';
  return now - place.time < MOVING_FOR ? 'moving' : 'silent';
}

function* paintFleetLines(context, view, fleet, chosen) {
  context.lineCap = 'round';
  context.lineJoin = 'round';
  let count = 0;
  const width = fleet.devices.size > 200 ? 2 : 3;
  for (const device of fleet.devices.values()) {
    const stands = device.name === chosen;
    context.globalAlpha = chosen === null || stands ? 1 : 0.3;
    for (const path of device.paths) {
      if (++count % 40 === 0) yield;
      if (!path.xy.length || !view.shows(path.box)) continue;
      context.setLineDash(DASHES[path.kind]);
      context.strokeStyle = colours[path.kind];
      context.lineWidth = stands ? 4.5 : width + WIDTHS[path.kind] - WIDTHS.matched;
      context.beginPath();
      view.trace(context, path.xy);
      context.stroke();
    }
  }
}

function* paintVehicles(context, view, fleet, now, chosen) {
  const shown = [];
  for (const device of fleet.devices.values()) {
    const { place } = device;
    if (!place) continue;
    const x = view.x(place.x), y = view.y(place.y);
    if (x > -20 && x < view.width + 20 && y > -20 && y < view.height + 20) shown.push({ device, place, x, y });
    if (shown.length % 200 === 0) yield;
  }
  shown.sort((one, other) => (one.device.name === chosen) - (other.device.name === chosen));
  const room = new Room();
  for (const { place, x, y } of shown) room.taken.push([x - 6, y - 6, x + 6, y + 6]);
  for (const { device, place, x, y } of shown) {
    const state = stateOf(place, now);
    const colour = state === 'moving' ? colours.matched : colours.quiet;
    drawVehicle(context, x, y, { heading: place.heading, state, colour, size: device.name === chosen ? 12 : 9 });
  }
  if (shown.length > LABELS_UP_TO) return;
  for (const { device, x, y } of shown.reverse()) {
    const text = shortened(device.name);
    context.font = LABEL_FONT;
    const width = context.measureText(text).width;
    if (device.name === chosen || room.take(x + 11, y - 8, x + 13 + width, y + 8)) drawLabel(context, text, x + 12, y);
  }
}

const shortened = (name) => (name.length > 24 ? `${[...name].slice(0, 23).join('')}\u2026` : name);

// The lines of a day; what lies after the moment that the slider shows is pale.
function* paintDay(context, view, day, moment, hidden) {
  context.lineCap = 'round';
  context.lineJoin = 'round';
  const shown = day.lines.filter((path) => path.xy.length && !hidden.has(path.kind) && view.shows(path.box));
  const parts = shown.flatMap((path) => partsOf(path, moment));
  for (const alpha of [PALE, 1]) {
    for (const casing of [true, false]) {
      for (const { kind, xy } of parts.filter((part) => part.alpha === alpha)) {
        context.globalAlpha = casing ? Math.max(alpha, 0.4) : alpha;
        context.lineWidth = WIDTHS[kind] + (casing ? 3.5 : 0);
        context.strokeStyle = casing ? colours.casing : colours[kind];
        context.setLineDash(casing ? [] : DASHES[kind]);
        context.beginPath();
        view.trace(context, xy);
        context.stroke();
        yield;
      }
    }
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
  yield* paintArrows(context, view, shown, moment);
  if (!hidden.has('fixes') && day.fixes) yield* paintFixes(context, view, day.fixes, moment);
  if (!hidden.has('stops')) paintStops(context, view, day.stops, moment);
}

// What was driven before a moment is opaque, what comes after it is pale.
function partsOf(path, moment) {
  const { xy, kind } = path;
  if (path.end <= moment) return [{ kind, xy, alpha: 1 }];
  if (path.start >= moment) return [{ kind, xy, alpha: PALE }];
  const { x, y, vertex } = path.at(moment);
  return [
    { kind, xy: Float64Array.of(x, y, ...xy.subarray(2 * vertex)), alpha: PALE },
    { kind, xy: Float64Array.of(...xy.subarray(0, 2 * vertex), x, y), alpha: 1 },
  ];
}

// Heads of arrows along what was driven, at equal distances on the screen.
function* paintArrows(context, view, paths, moment) {
  let rest = ARROW_EVERY / 2;
  for (const path of paths) {
    const { xy } = path;
    const passed = path.end <= moment ? Infinity : path.start >= moment ? 0 : path.at(moment).vertex;
    for (let n = 1; n < xy.length / 2; n++) {
      const x = view.x(xy[2 * n - 2]), y = view.y(xy[2 * n - 1]);
      const dx = view.x(xy[2 * n]) - x, dy = view.y(xy[2 * n + 1]) - y;
      const step = Math.hypot(dx, dy);
      for (; rest <= step; rest += ARROW_EVERY) {
        if (step < 7) { rest = step + 1e-6; break; } // too short a piece to show a direction: the next one will
        const part = Math.min(Math.max(rest, 4), step - 3) / step;
        if (n <= passed) drawArrow(context, x + part * dx, y + part * dy, Math.atan2(dy, dx), colours[path.kind]);
      }
      rest -= step;
      if (rest < 0) rest = 0;
    }
    yield;
  }
}

function drawArrow(context, x, y, heading, colour) {
  context.save();
  context.translate(x, y);
  context.rotate(heading);
  context.beginPath();
  context.moveTo(7.5, 0);
  context.lineTo(-5.5, 6);
  context.lineTo(-3, 0);
  context.lineTo(-5.5, -6);
  context.closePath();
  context.fillStyle = colour;
  context.strokeStyle = colours.casing;
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
  context.restore();
}

function* paintFixes(context, view, { xy, times }, moment) {
  context.fillStyle = colours.fix;
  context.strokeStyle = colours.casing;
  context.lineWidth = 1;
  const size = view.zoom < 15.5 ? 2 : 3;
  for (let n = 0; n < times.length; n++) {
    if (n % 500 === 0) yield;
    const x = view.x(xy[2 * n]), y = view.y(xy[2 * n + 1]);
    if (x < 0 || y < 0 || x > view.width || y > view.height) continue;
    context.globalAlpha = times[n] <= moment ? 1 : 0.35;
    context.beginPath();
    context.arc(x, y, size, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
  context.globalAlpha = 1;
}

function paintStops(context, view, stops, moment) {
  const room = new Room();
  for (const stop of stops) {
    const x = view.x(stop.x), y = view.y(stop.y);
    if (x < -60 || y < -20 || x > view.width + 60 || y > view.height + 20) continue;
    context.globalAlpha = stop.start <= moment ? 1 : 0.45;
    drawStop(context, x, y);
    const text = saySpan(Math.min(stop.end, Math.max(moment, stop.start)) - stop.start || stop.end - stop.start);
    context.font = LABEL_FONT;
    const width = context.measureText(text).width;
    if (room.take(x + 10, y - 9, x + 16 + width, y + 9)) drawLabel(context, text, x + 13, y, colours.stop);
  }
  context.globalAlpha = 1;
}

// A square with two bars, as for a pause.
function drawStop(context, x, y) {
  context.fillStyle = colours.paper;
  context.strokeStyle = colours.stop;
  context.lineWidth = 2;
  context.beginPath();
  context.roundRect(x - 8, y - 8, 16, 16, 4);
  context.fill();
  context.stroke();
  context.fillStyle = colours.stop;
  context.fillRect(x - 3.5, y - 4, 2.5, 8);
  context.fillRect(x + 1, y - 4, 2.5, 8);
}

// The strip under the slider: when it drove, on lines of which kind, and when it stood.
function paintStrip(canvas, day, begin, end) {
  const width = canvas.clientWidth, height = canvas.clientHeight;
  const scale = Math.min(2, window.devicePixelRatio || 1);
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext('2d');
  context.scale(scale, scale);
  const at = (moment) => (moment - begin) / Math.max(1, end - begin) * width;
  context.fillStyle = colours.stop;
  for (const stop of day.stops) {
    context.globalAlpha = 0.45;
    context.fillRect(at(stop.start), height - 4, Math.max(1.5, at(stop.end) - at(stop.start)), 4);
  }
  context.globalAlpha = 1;
  for (const path of day.lines) {
    const left = at(path.start), wide = Math.max(1.5, at(path.end) - left);
    context.strokeStyle = colours[path.kind];
    context.lineWidth = height;
    context.setLineDash({ matched: [], doubtful: [6, 2], raw: [2, 2], unmapped: [2, 6], tail: [4, 2, 1, 2] }[path.kind]);
    context.beginPath();
    context.moveTo(left, height / 2);
    context.lineTo(left + wide, height / 2);
    context.stroke();
  }
}
