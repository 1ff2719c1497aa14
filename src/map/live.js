// What is asked of the server, and when.

const WHOLE_EVERY = 10 * MINUTE; // then all is asked anew, for what was deleted meanwhile
const ASIDE_EVERY = MINUTE; // stops, and where vehicles stand
const REST_FOR = 15; // times as long as an answer took: a large fleet is asked less often

class Live {
  constructor(server, pause, page) {
    this.server = server;
    this.pause = pause;
    this.page = page;
    this.fleet = new Fleet();
    this.answered = null; // when the server last said something
    this.missing = new Set(); // functions that it does not offer
    this.rounds = new Rounds(() => this._round(), (failure) => page.tellServer(failure));
  }

  start() { this.rounds.run(); }

  get now() { return this.server.now(); }

  wake() {
    this.server.interrupt();
    this.rounds.wake();
  }

  async ask(name, args) {
    const answer = await this.server.ask(name, args);
    this.answered = Date.now();
    return answer;
  }

  // What the page can do without: a server that does not offer it is not asked again.
  async askIfOffered(name, args) {
    if (this.missing.has(name)) return null;
    try {
      return await this.ask(name, args);
    } catch (error) {
      if (error.status !== 404) throw error;
      this.missing.add(name);
      return null;
    }
  }

  async _round() {
    const begin = performance.now();
    const { day } = this.page;
    if (day) await this._roundOfDay(day);
    else await this._roundOfFleet();
    return Math.max(this.pause, REST_FOR * (performance.now() - begin));
  }

  async _roundOfFleet() {
    const { fleet } = this;
    const { hours } = this.page;
    const first = !fleet.loaded;
    if (first || fleet.hours !== hours || Date.now() - fleet.wholeAt > WHOLE_EVERY) {
      const { since } = this.server;
      const whole = this.ask('get_fleet_page', { hours });
      whole.catch(() => {}); // it is awaited below
      if (first) await this._takePositions(); // the lines of a large fleet take seconds
      fleet.take(await whole);
      fleet.hours = hours;
      fleet.since = iso(since);
      fleet.wholeAt = Date.now();
      if (!first) fleet.asideAt = 0;
      this.page.fleetChanged(true);
    } else {
      const changes = await this.ask('get_page_changes', { since: fleet.since });
      fleet.since = changes.since;
      const changed = fleet.takeWindows(changes.windows);
      if (fleet.forget(this.now - hours * HOUR) || changed) this.page.fleetChanged(false);
    }
    if (Date.now() - fleet.asideAt > ASIDE_EVERY) await this._takePositions();
  }

  async _takePositions() {
    const { fleet } = this;
    fleet.asideAt = Date.now();
    const rows = await this.askIfOffered('get_device_positions');
    if (!rows) return;
    fleet.takePositions(rows);
    if (fleet.loaded || rows.length) this.page.fleetChanged(false);
  }

  // A day is shown as soon as its lines are there; what comes with them comes after.
  async _roundOfDay(day) {
    const [from, to] = day.range(this.now);
    const range = { device_id: day.device, from_time: iso(from), to_time: iso(to) };
    const first = !day.loaded;
    if (first || Date.now() - day.wholeAt > WHOLE_EVERY) {
      const stops = this.askIfOffered('get_device_stops', range);
      stops.catch(() => {}); // it is awaited below, after the lines
      day.since = iso(this.server.since);
      day.take(day.live ? await this.ask('get_device_page', { device_id: day.device, hours: 24, tail: true })
        : await this.ask('get_device_page_between', range));
      day.wholeAt = Date.now();
      this.page.dayChanged(day, first);
      await this._takeStops(day, stops);
    } else {
      const changes = await this.ask('get_page_changes', { since: day.since, device_ids: arrayOf(day.device) });
      day.since = changes.since;
      let changed = day.takeWindows(changes.windows, this.now);
      if (day.live) {
        changed = day.takeTail(await this.ask('get_device_page', { device_id: day.device, hours: 1, tail: true })) || changed;
      }
      if (changed || Date.now() - day.asideAt > ASIDE_EVERY) await this._takeStops(day, this.askIfOffered('get_device_stops', range));
      if (changed) this.page.dayChanged(day, false);
    }
    if (this.page.wantsFixes && (!day.fixes || day.fixesOf !== day.since)) await this._takeFixes(day, range);
  }

  async _takeStops(day, asked) {
    const rows = await asked;
    day.asideAt = Date.now();
    if (rows) day.takeStops(rows);
    this.page.dayChanged(day, false);
  }

  async _takeFixes(day, range) {
    const rows = await this.askIfOffered('get_device_fixes', range);
    if (!rows) return this.page.warn('fixes', 'This server does not offer fixes.');
    day.takeFixes(rows);
    day.fixesOf = day.since;
    this.page.dayChanged(day, false);
  }
}
