// A device's day: its paths and stops in a range of time, and where it was at a moment.

class Day {
  // `day` is a local day such as 2026-05-04; null: the last 24 hours, which go on.
  constructor(device, day) {
    this.device = device;
    this.day = day;
    this.loaded = false;
    this.paths = [];
    this.tail = [];
    this.stops = [];
    this.fixes = null;
    this.delay = 0;
  }

  get live() { return this.day === null; }

  range(now) {
    if (this.given) return this.given;
    if (this.live) return [now - DAY, now + HOUR]; // a device's clock may be ahead a little
    return [startOfDay(this.day), startOfDay(shiftDay(this.day, 1))];
  }

  take(page) {
    const paths = page.paths.map((path) => new Path(path));
    this.paths = paths.filter((path) => path.kind !== 'tail');
    this.tail = paths.filter((path) => path.kind === 'tail');
    this.delay = page.processing_delay_ms;
    this.loaded = true;
  }

  takeTail(page) {
    const tail = page.paths.filter((path) => path.match_status === 'tail').map((path) => new Path(path));
    const changed = tail.length !== this.tail.length || tail.some((path, n) => path.text !== this.tail[n].text);
    this.tail = tail;
    this.delay = page.processing_delay_ms;
    return changed;
  }

  takeWindows(windows, now) {
    const [from, to] = this.range(now);
    let changed = false;
    for (const window of windows) {
      const start = Date.parse(window.start_time), end = Date.parse(window.end_time);
      if (window.device !== this.device || end <= from || start >= to) continue;
      const paths = replaceWindow(this.paths, start, end, window.paths.map((path) => new Path(path)));
      changed ||= paths !== this.paths;
      this.paths = paths;
    }
    return changed;
  }

  takeStops(rows) {
    this.stops = rows.map((row) => ({
      start: Date.parse(row.start_time), end: Date.parse(row.end_time),
      x: worldX(row.longitude), y: worldY(row.latitude),
    }));
  }

  takeFixes(rows) {
    const xy = new Float64Array(2 * rows.length);
    rows.forEach((row, n) => {
      xy[2 * n] = worldX(row.longitude);
      xy[2 * n + 1] = worldY(row.latitude);
    });
    this.fixes = { xy, times: rows.map((row) => Date.parse(row.time)) };
  }

  get lines() { return [...this.paths, ...this.tail]; }

  get empty() { return !this.paths.length && !this.tail.length && !this.stops.length; }

  // From the first to the last that is known.
  get begin() { return Math.min(...this.lines.map((path) => path.start), ...this.stops.map((stop) => stop.start)); }
  get end() { return Math.max(...this.lines.map((path) => path.end), ...this.stops.map((stop) => stop.end)); }

  get box() {
    const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
    for (const { box: part } of this.lines) {
      stretch(box, part.left, part.top);
      stretch(box, part.right, part.bottom);
    }
    for (const stop of this.stops) stretch(box, stop.x, stop.y);
    return box;
  }

  // Where it was, and what it did; between two pieces it is where the earlier one ended.
  at(moment) {
    let last = null;
    for (const path of this.lines) {
      if (path.start <= moment && path.xy.length && (!last || path.start >= last.start)) last = path;
    }
    let stop = null;
    for (const one of this.stops) {
      if (one.start <= moment && (!stop || one.start >= stop.start)) stop = one;
    }
    if (stop && stop.end >= moment) return { ...stop, heading: null, doing: `standing for ${saySpan(moment - stop.start)}` };
    if (last && last.end >= moment) return { ...last.at(moment), doing: SAID[last.kind] };
    if (stop && (!last || stop.end > last.end)) last = { ...stop, at: () => ({ ...stop, heading: null }) };
    if (!last) return null;
    return { ...last.at(last.end), doing: `nothing known for ${saySpan(moment - last.end)}` };
  }

  metres(kind) {
    return this.lines.reduce((sum, path) => (path.kind === kind ? sum + path.metres : sum), 0);
  }
}

const SAID = {
  matched: 'driving', doubtful: 'driving, road doubtful', raw: 'moving, no road fits', unmapped: 'moving, off the map',
  tail: 'moving, not matched yet',
};
